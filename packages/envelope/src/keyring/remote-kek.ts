import { encodeHex, utf8 } from '../bytes.ts'
import { equalConstantTime, sha256 } from '../crypto/digest.ts'
import { drawKey, KEY_BYTES } from '../crypto/random.ts'
import { ProviderError } from '../errors.ts'
import { MAX_REMOTE_WRAPPED_DEK_BYTES } from '../format/envelope-v2.ts'
import { encodePae } from '../format/pae.ts'
import type { Kek } from './kek.ts'
import type { KeyProvider, ProviderCallOptions } from './key-provider.ts'
import { callProvider, overwrite, sharing } from './provider-call.ts'

const FINGERPRINT_BYTES = 8
const FINGERPRINT_LABELS = ['talos-envelope', 'v2', 'kek-fingerprint']

/** What a remote KEK knows and does not show. */
interface Innards {
  readonly provider: KeyProvider
  /** Whether it has given back, in this process, what it wrapped. */
  tested: boolean
}

let innardsOf: (kek: RemoteKek) => Innards
let makeRemoteKek: (id: string, provider: KeyProvider) => RemoteKek

/**
 * A key encryption key that never leaves its key provider. It shows its id and its fingerprint and nothing else; the
 * provider, whose client may hold credentials, is out of reach.
 */
export class RemoteKek {
  /** `[a-z0-9][a-z0-9_-]{0,31}`, not ending in `_file`. */
  readonly id: string
  /** 16 lowercase hexadecimal digits, made of the provider's name and the key's. Public. */
  readonly fingerprint: string
  /** How this KEK wraps. A KEK has exactly one suite. */
  readonly suite: '0002' = '0002'
  readonly #innards: Innards

  static {
    innardsOf = (kek) => kek.#innards
    makeRemoteKek = (id, provider) => new RemoteKek(id, provider)
  }

  private constructor(id: string, provider: KeyProvider) {
    this.id = id
    this.fingerprint = fingerprintOfProvider(provider)
    this.#innards = { provider, tested: false }
    Object.freeze(this)
  }

  /** Gives `[kek <id> <fingerprint>]`. */
  toString(): string {
    return `[kek ${this.id} ${this.fingerprint}]`
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * Makes a KEK of suite 0002. The provider is not asked anything.
 *
 * @param id - A KEK id, checked by the caller.
 * @param provider - The provider of its key, checked by the caller.
 * @returns The KEK.
 */
export function createRemoteKek(id: string, provider: KeyProvider): RemoteKek {
  return makeRemoteKek(id, provider)
}

/**
 * Wraps a DEK. A KEK that has not passed its self-test in this process takes it first: nothing is ever written under a KEK
 * that does not give back what it wraps.
 *
 * @param kek - The KEK.
 * @param dek - 32 bytes. The provider gets a copy, which is overwritten afterwards.
 * @param options - When to give up.
 * @returns 1 to 1,024 bytes, in memory of their own.
 * @throws ProviderError `ERR_KEY_PROVIDER_UNAVAILABLE`, `ERR_KEY_PROVIDER_REFUSED`, `ERR_KEY_PROVIDER_CONTRACT`.
 */
export async function wrapKeyRemotely(
  kek: RemoteKek,
  dek: Uint8Array,
  options: ProviderCallOptions,
): Promise<Uint8Array> {
  if (innardsOf(kek).tested) return await wrapUntested(kek, dek, options)
  const next = sharing(options)
  await testRemoteKek(kek, next())
  return await wrapUntested(kek, dek, next())
}

/**
 * Unwraps a DEK.
 *
 * @param kek - The KEK.
 * @param wrappedDek - 1 to 1,024 bytes.
 * @param options - When to give up.
 * @returns 32 bytes, to be cleared after use, or `null` when the provider says that it did not wrap them or gives back
 * something that is no DEK.
 * @throws ProviderError as {@link wrapKeyRemotely}; the wrapped DEK was not judged.
 */
export async function unwrapKeyRemotely(
  kek: RemoteKek,
  wrappedDek: Uint8Array,
  options: ProviderCallOptions,
): Promise<Uint8Array | null> {
  const { provider } = innardsOf(kek)
  const given = Uint8Array.from(wrappedDek)
  const answer = await callProvider(kek.id, (call) => provider.unwrapKey(given, call), options)
  if (answer === null) return null
  if (!(answer instanceof Uint8Array)) throw contractBroken(kek, 'unwrapped something that is no bytes')
  if (answer.length === KEY_BYTES) return answer
  overwrite(answer)
  return null
}

/**
 * Wraps and unwraps a fresh random DEK. Nothing of it is kept.
 *
 * @param kek - The KEK.
 * @param options - When to give up.
 * @throws ProviderError as {@link wrapKeyRemotely}: it has not passed, and may be tested again.
 */
export async function testRemoteKek(kek: RemoteKek, options: ProviderCallOptions): Promise<void> {
  const dek = drawKey()
  let unwrapped: Uint8Array | null = null
  try {
    const next = sharing(options)
    const wrapped = await wrapUntested(kek, dek, next())
    unwrapped = await unwrapKeyRemotely(kek, wrapped, next())
    if (unwrapped === null || !equalConstantTime(unwrapped, dek)) {
      throw contractBroken(kek, 'did not give back the fresh key that it wrapped in a self-test')
    }
    innardsOf(kek).tested = true
  } finally {
    dek.fill(0)
    unwrapped?.fill(0)
  }
}

/**
 * Tells whether a KEK has passed its self-test in this process.
 *
 * @param kek - The KEK.
 * @returns Whether it has given back what it wrapped.
 */
export function isTested(kek: RemoteKek): boolean {
  return innardsOf(kek).tested
}

/**
 * Spares a KEK that was loaded anew the self-test it has passed already.
 *
 * @param kek - The KEK as loaded now.
 * @param former - The KEK held under its id before. Only one with the same provider object tells anything of it.
 */
export function takeOverTest(kek: Kek | undefined, former: Kek | undefined): void {
  if (kek?.suite !== '0002' || former?.suite !== '0002') return
  const innards = innardsOf(kek)
  if (innards.provider === innardsOf(former).provider) innards.tested ||= innardsOf(former).tested
}

async function wrapUntested(
  kek: RemoteKek,
  dek: Uint8Array,
  options: ProviderCallOptions,
): Promise<Uint8Array> {
  const { provider } = innardsOf(kek)
  // Not `slice`, which in a Buffer is a view of the same bytes.
  const given = Uint8Array.from(dek)
  try {
    const answer = await callProvider(kek.id, (call) => provider.wrapKey(given, call), options)
    if (!(answer instanceof Uint8Array))
      throw contractBroken(kek, 'wrapped a DEK into something that is no bytes')
    if (answer.length < 1 || answer.length > MAX_REMOTE_WRAPPED_DEK_BYTES) {
      overwrite(answer)
      throw contractBroken(kek, `wrapped a DEK into ${answer.length} bytes; allowed are 1 to 1,024`)
    }
    if (holds(answer, dek)) {
      overwrite(answer)
      throw contractBroken(kek, 'did not encrypt a DEK: what it returned holds the DEK in clear')
    }
    return Uint8Array.from(answer)
  } finally {
    given.fill(0)
  }
}

/** Whether bytes stand somewhere among others. */
function holds(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const last = bytes.length - wanted.length
  for (let start = 0; start <= last; start += 1) {
    if (equalConstantTime(bytes.subarray(start, start + wanted.length), wanted)) return true
  }
  return false
}

function contractBroken({ id: kekId }: RemoteKek, what: string): ProviderError {
  const message = `The key provider of KEK "${kekId}" ${what}. Nothing was written. Report it to the provider's author.`
  return new ProviderError('ERR_KEY_PROVIDER_CONTRACT', message, { kekId })
}

function fingerprintOfProvider({ provider, key }: KeyProvider): string {
  const named = encodePae([...FINGERPRINT_LABELS, provider, key].map(utf8))
  return encodeHex(sha256(named).subarray(0, FINGERPRINT_BYTES))
}
