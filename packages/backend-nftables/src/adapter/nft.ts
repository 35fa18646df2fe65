import type { JsonObject } from '@pointsman/core'
import { IptablesError, type Run } from 'node-iptables'
import { listedObjects } from '../table/read-listing.js'
import type { TableName } from '../table/table.js'

/** What can go wrong with nft(8). A code is a contract: codes are added, not renamed. */
export const NFT_ERRORS = {
  NFT_MISSING: 'nft(8) cannot be run: install nftables 1.0.1 or later',
  NFT_TOO_OLD: 'this nft(8) lists all tables for each request: install nftables 1.0.1 or later',
  NFT_NO_PERMISSION: 'permission denied: run as root, or with CAP_NET_ADMIN',
  NFT_NO_KERNEL_SUPPORT: 'the kernel lacks nf_tables, or a part of it: load the module that the message names',
  NFT_REFUSED: 'nft(8) or the kernel refused a transaction: the table is as it was before',
  NFT_FAILED: 'nft(8) failed: see its message',
} as const

export type NftErrorCode = keyof typeof NFT_ERRORS

export class NftError extends Error {
  override readonly name = 'NftError'
  readonly code: NftErrorCode
  readonly stderr: string
  /** Of the input, counted from 1: the first one that was refused, where nft says which. */
  readonly line: { readonly number: number; readonly text: string } | undefined

  constructor(
    code: NftErrorCode,
    { stderr = '', line }: { readonly stderr?: string; readonly line?: NftError['line'] } = {},
    options?: ErrorOptions,
  ) {
    super(
      [NFT_ERRORS[code], firstMessage(stderr), line?.text]
        .filter((text) => text !== undefined && text !== '')
        .join(': '),
      options,
    )
    this.code = code
    this.stderr = stderr
    this.line = line
  }
}

/** `Error: Could not process rule: No such file or directory` of nft's first message. */
const firstMessage = (stderr: string): string => /Error: ([^\n]*)/.exec(stderr)?.[1] ?? stderr.split('\n')[0] ?? ''

export interface NftLimits {
  readonly signal?: AbortSignal | undefined
}

export interface NftListing extends NftLimits {
  /** Without the elements of sets and maps that have a name, which are not read either. */
  readonly terse?: boolean | undefined
}

/** nft(8) on this machine, in the network namespace of the process. */
export interface Nft {
  /** `1.0.6`. */
  readonly version: string
  /** One table as `nft -j` lists it, without what counters counted. Undefined: there is none. */
  readonly list: (table: TableName, limits?: NftListing) => Promise<readonly JsonObject[] | undefined>
  /** All tables of all families. */
  readonly listAll: (limits?: NftLimits) => Promise<readonly JsonObject[]>
  /** The handles of a chain's rules, in their order. Undefined: netlink cannot be used, or the chain changes meanwhile. */
  readonly ruleHandles: (table: TableName, chain: string) => Promise<readonly bigint[] | undefined>
  /** One transaction: all of it is done, or nothing. Gives the bytes that were sent. */
  readonly load: (lines: readonly string[], limits?: NftLimits) => Promise<number>
}

/** Finds nft(8). NftError where there is none, or one that is too old. */
export async function openNft(
  { run, timeoutMs }: { readonly run: Run; readonly timeoutMs?: number | undefined },
  limits: NftLimits = {},
): Promise<Nft> {
  const nft = async (
    args: readonly string[],
    input?: Iterable<string>,
    { signal }: NftLimits = {},
  ): Promise<string> => {
    const { exitCode, stdout, stderr } = await run({ argv: ['nft', ...args], input, signal, timeoutMs }).catch(notRun)
    if (exitCode === 0) return stdout
    throw new NftError(codeOf(stderr), { stderr })
  }
  const version = /v(\d+\.\d+(?:\.\d+)?)/.exec(await nft(['--version'], undefined, limits))?.[1] ?? '0'
  if (isOlder(version, OLDEST)) throw new NftError('NFT_TOO_OLD', { stderr: `nftables ${version}` })
  return {
    version,
    async list({ family, name }, given) {
      try {
        const terse = given?.terse === true ? ['-t'] : []
        return listedObjects(await nft(['-s', ...terse, '-j', 'list', 'table', family, name], undefined, given))
      } catch (error) {
        if (error instanceof NftError && /No such file or directory/.test(error.stderr)) return undefined
        throw error
      }
    },
    async ruleHandles({ family, name }, chain) {
      try {
        return await (await import('node-netfilter')).ruleHandles({ family, table: name, chain })
      } catch {
        return undefined
      }
    },
    listAll: async (given) => listedObjects(await nft(['-s', '-j', 'list', 'ruleset'], undefined, given)),
    async load(lines, given) {
      let bytes = 0
      const pieces = function* (): Generator<string> {
        for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
          const piece = `${lines.slice(at, at + LINES_AT_ONCE).join('\n')}\n`
          bytes += Buffer.byteLength(piece)
          yield piece
        }
      }
      try {
        await nft(['-f', '-'], pieces(), given)
        return bytes
      } catch (error) {
        if (!(error instanceof NftError)) throw error
        const number = Number(/^[^\n:]*:(\d+):\d+/m.exec(error.stderr)?.[1] ?? 0)
        const text = lines[number - 1]
        throw new NftError(
          error.code,
          { stderr: error.stderr, ...(text !== undefined && { line: { number, text } }) },
          { cause: error },
        )
      }
    },
  }
}

const LINES_AT_ONCE = 2000

/** Older versions list every table of the machine for each request, and fail on tables that newer versions wrote. */
const OLDEST = '1.0.1'

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number))
  const at = (b ?? []).findIndex((part, index) => part !== (a?.[index] ?? 0))
  return at >= 0 && (a?.[at] ?? 0) < (b?.[at] ?? 0)
}

function notRun(error: unknown): never {
  if (error instanceof IptablesError && error.code === 'NOT_FOUND')
    throw new NftError('NFT_MISSING', {}, { cause: error })
  throw error
}

function codeOf(stderr: string): NftErrorCode {
  if (/Operation not permitted|Permission denied/.test(stderr)) return 'NFT_NO_PERMISSION'
  if (/not supported|Protocol not available|Address family not/.test(stderr)) return 'NFT_NO_KERNEL_SUPPORT'
  return /\bError: /.test(stderr) && !/cache initialization failed|Out of memory/i.test(stderr)
    ? 'NFT_REFUSED'
    : 'NFT_FAILED'
}

/** Whether nft or the kernel refused the content of a transaction, so that smaller parts of it may succeed. Any other failure is not about its content. */
export const isRefusal = (error: unknown): error is NftError =>
  error instanceof NftError && (error.code === 'NFT_REFUSED' || error.code === 'NFT_NO_KERNEL_SUPPORT')

/** Kernels before 6.2 go on counting for a moment what led to a chain, after it is gone. */
export const isBusyChain = (error: unknown): boolean =>
  error instanceof NftError &&
  /resource busy/.test(error.stderr) &&
  error.line?.text.startsWith('delete chain ') === true
