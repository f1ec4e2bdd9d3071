import { utf8 } from '../bytes.ts'
import { NONCE_BYTES, open, seal } from '../crypto/aead.ts'
import { drawBytes } from '../crypto/random.ts'
import { KeyError, type KeyFault } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import {
  COSTS,
  formatFile,
  formatHeader,
  formatTime,
  parseFile,
  type SealedKekHeader,
} from './escrow-file.ts'
import { readEscrowKey } from './escrow-key.ts'
import { type Holder, makeLock, type Opener, openLock } from './escrow-lock.ts'
import { passphraseFaults } from './escrow-passphrase.ts'
import { fingerprintOf } from './kek.ts'
import { kekByteFaults } from './kek-text.ts'
import { OpenedKek } from './opened-kek.ts'

/** Whom a KEK is sealed for: whoever knows a passphrase, or the holder of a private key. */
export type SealFor =
  | {
      /**
       * 16 to 1,024 characters, 8 of them different, without white space at the ends and without characters of Unicode's
       * category C such as newlines. It is normalized to NFC and otherwise taken as it is.
       */
      readonly passphrase: string
      /**
       * The base-2 logarithm of scrypt's N: 17, 18 or 19, which take 128, 256 or 512 MiB of memory to seal and again to
       * open. @defaultValue 17
       */
      readonly costLog2?: number
    }
  | {
      /** The `publicKey` of {@link generateEscrowKeyPair}. */
      readonly publicKey: string
    }

/** What {@link sealKek} is given. */
export interface SealKekOptions {
  readonly kekId: string
  /** The 32 bytes. They are copied before the call returns its promise, and the caller may clear them. */
  readonly kek: Uint8Array
  readonly for: SealFor
  /** Ends the wait for scrypt. */
  readonly signal?: AbortSignal
}

/** What {@link openKek} is given: the passphrase, or the `privateKey` of {@link generateEscrowKeyPair}. */
export type OpenKekOptions = ({ readonly passphrase: string } | { readonly privateKey: string }) & {
  /** Ends the wait for scrypt. */
  readonly signal?: AbortSignal
}

/**
 * Seals a KEK for escrow: into a text that may be printed and kept anywhere, and that only the passphrase or the private key
 * opens. Call it once for each holder.
 *
 * @param options - The KEK, and whom it is for.
 * @returns The text of a file, as `docs/reference/escrow.md` specifies it: 11 lines of ASCII. No two are alike.
 * @throws TypeError when something is not of its type or out of its bounds, or `for` has both or neither of its members.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with all `faults` of the KEK, the passphrase or the public key.
 */
export async function sealKek(options: SealKekOptions): Promise<string> {
  const { kekId, signal } = options
  if (typeof kekId !== 'string' || !isKekId(kekId))
    throw new TypeError('kekId is the id of a KEK, such as v1.')
  if (!(options.kek instanceof Uint8Array)) throw new TypeError('kek is a Uint8Array of 32 bytes.')
  const faults = kekByteFaults(options.kek).map((fault): KeyFault => ({ variable: 'kek', fault }))
  const holder = checkHolder(options.for, faults)
  if (faults.length > 0) throw unfit(faults)
  const kek = Uint8Array.from(options.kek)
  try {
    const lock = await makeLock(holder, signal)
    if (lock === null) throw unfit([{ variable: 'publicKey', fault: 'is a point that keeps nothing secret' }])
    const sealedAt = formatTime(Date.now())
    const header = formatHeader({ kekId, fingerprint: fingerprintOf(kek), sealedAt }, lock.protection)
    const sealed = seal(lock.key, drawBytes(NONCE_BYTES), utf8(header), kek)
    lock.key.fill(0)
    return formatFile(header, sealed)
  } finally {
    kek.fill(0)
  }
}

/**
 * Opens a sealed KEK, verifies all of its text and computes the fingerprint anew. A wrong passphrase, a wrong private key and
 * an altered file give one and the same error.
 *
 * @param text - The whole text that {@link sealKek} returned.
 * @param options - The passphrase or the private key.
 * @returns The KEK. Dispose of it after use.
 * @throws TypeError when something is not of its type, or both or neither of the two are given.
 * @throws FormatError `ERR_ESCROW_MALFORMED` when the text is no sealed KEK, or was cut or mistyped.
 * @throws KeyError `ERR_ESCROW_NOT_OPENED`. `ERR_KEY_CONFIGURATION` when the private key is none or mistyped.
 */
export async function openKek(text: string, options: OpenKekOptions): Promise<OpenedKek> {
  const { header, protection, aad, sealed } = parseFile(text)
  const faults: KeyFault[] = []
  const opener = checkOpener(options, faults)
  if (faults.length > 0) throw unfit(faults)
  try {
    const key = await openLock(protection, opener, options.signal)
    const kek = key && open(key, aad, sealed)
    key?.fill(0)
    if (kek !== null && fingerprintOf(kek) === header.fingerprint) return new OpenedKek(header, kek)
    kek?.fill(0)
  } finally {
    if ('privateKey' in opener) opener.privateKey.fill(0)
  }
  const needed =
    header.method === 'passphrase' ? 'passphrase it was sealed with' : 'private key of its recipient'
  throw new KeyError(
    'ERR_ESCROW_NOT_OPENED',
    `The sealed KEK "${header.kekId}" could not be opened. It takes the ${needed}, and a file that nobody altered.`,
    { kekId: header.kekId },
  )
}

/**
 * Reads what a sealed KEK says about itself, without a key.
 *
 * @param text - The whole text that {@link sealKek} returned.
 * @returns The header, **unverified**: whoever can write to the file can make it say anything.
 * @throws TypeError when it is no text.
 * @throws FormatError `ERR_ESCROW_MALFORMED` when the text is no sealed KEK, or was cut or mistyped.
 */
export function inspectSealedKek(text: string): SealedKekHeader {
  return parseFile(text).header
}

function checkHolder(given: SealFor, faults: KeyFault[]): Holder {
  const { name, value } = onlyOne(given, ['passphrase', 'publicKey'])
  if (name === 'publicKey') return { publicKey: checkKey('public', value, faults) }
  const { costLog2 = 17 } = given as { readonly costLog2?: number }
  if (!COSTS.includes(costLog2)) throw new TypeError(`costLog2 is one of ${COSTS.join(', ')}.`)
  faults.push(...passphraseFaults(value).map((fault) => ({ variable: name, fault })))
  return { passphrase: value, costLog2 }
}

function checkOpener(given: OpenKekOptions, faults: KeyFault[]): Opener {
  const { name, value } = onlyOne(given, ['passphrase', 'privateKey'])
  return name === 'passphrase' ? { passphrase: value } : { privateKey: checkKey('private', value, faults) }
}

function onlyOne<Name extends string>(given: object, names: readonly Name[]): { name: Name; value: string } {
  const isObject = typeof given === 'object' && given !== null
  const found = names.flatMap((name) => {
    const value = isObject ? (given as Record<string, unknown>)[name] : undefined
    return typeof value === 'string' ? [{ name, value }] : []
  })
  if (found[0] === undefined || found.length > 1) throw new TypeError(`Give ${names.join(' or ')}, as text.`)
  return found[0]
}

function checkKey(kind: 'public' | 'private', text: string, faults: KeyFault[]): Uint8Array {
  const key = readEscrowKey(kind, text)
  if (typeof key !== 'string') return key
  faults.push({ variable: `${kind}Key`, fault: key })
  return new Uint8Array()
}

function unfit(faults: readonly KeyFault[]): KeyError {
  const lines = faults.map(({ variable, fault }) => `\n- ${variable} ${fault}`)
  const message = `What was given to seal or to open a KEK is unfit:${lines.join('')}`
  return new KeyError('ERR_KEY_CONFIGURATION', message, { faults })
}
