/** What can go wrong with a file that somebody named, each with what to do about it. */
export const FILE_ERRORS = {
  NOT_FOUND: 'no such file: check the path',
  CANNOT_READ: 'it cannot be read',
  CANNOT_WRITE: 'it cannot be written',
  BAD_GZIP: 'the gzip data ends early or is damaged: copy the file again; what came before the damage is used',
  NOT_TEXT: 'it is not text: give JSON, JSON lines or YAML, and a change log with --log',
  NOT_YAML: 'it is neither YAML nor JSON',
  NOT_OBJECTS:
    'it holds no Kubernetes objects: give what `kubectl get services,endpointslices,nodes -A -o json` prints',
  NOT_CONFIG: 'it is no KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)',
} as const
export type FileErrorCode = keyof typeof FILE_ERRORS

/** A failure with a file from outside. The message is one line: the file, what is wrong, what to do. */
export class FileError extends Error {
  readonly code: FileErrorCode
  readonly file: string

  constructor(code: FileErrorCode, file: string, detail?: string, options?: ErrorOptions) {
    super(`${file}: ${FILE_ERRORS[code]}${detail === undefined ? '' : ` (${detail})`}`, options)
    this.name = 'FileError'
    this.code = code
    this.file = file
  }

  /** Wraps what the file system or a parser threw; a FileError stays itself, a missing file becomes NOT_FOUND. */
  static from(code: FileErrorCode, file: string, error: unknown): FileError {
    if (error instanceof FileError) return error
    const systemCode =
      error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
    if (systemCode === 'ENOENT') return new FileError('NOT_FOUND', file, undefined, { cause: error })
    const detail = systemCode ?? (error instanceof Error ? error.message : String(error))
    return new FileError(code, file, detail, { cause: error })
  }
}
