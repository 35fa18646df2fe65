/** Why a sync of the mock was rejected. */
export const MOCK_BACKEND_ERROR_CODES = {
  SYNC_FAILED: 'the mock was configured to fail, and nothing took effect',
  SYNC_FAILED_HALF_WAY: 'the mock was configured to fail half-way, and a part took effect',
  CLOSED: 'the mock is closed',
} as const
export type MockBackendErrorCode = keyof typeof MOCK_BACKEND_ERROR_CODES

export class MockBackendError extends Error {
  readonly code: MockBackendErrorCode

  constructor(code: MockBackendErrorCode, message: string) {
    super(message)
    this.name = 'MockBackendError'
    this.code = code
  }
}
