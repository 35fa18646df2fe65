export {
  createMockBackend,
  type MockBackend,
  type MockBackendOptions,
  type MockSync,
  MOCK_BACKEND_ERROR_CODES,
  MockBackendError,
  type MockBackendErrorCode,
} from './mock-backend.js'

export {
  type InForce,
  type Packet,
  route,
  ROUTE_ERROR_CODES,
  type Route,
  type RouteEndpoint,
  RouteError,
  type RouteErrorCode,
  type RouteFront,
  type Verdict,
} from '@pointsman/core'
