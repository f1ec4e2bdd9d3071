/** The providers that a KEK of suite 0002 may live with. The name is part of the KEK's fingerprint. */
export const KEY_PROVIDER_NAMES = ['aws-kms', 'gcp-kms', 'azure-mhsm', 'vault-transit'] as const

/**
 * One of the providers that the format knows.
 *
 * @useDeclaredType
 */
export type KeyProviderName = (typeof KEY_PROVIDER_NAMES)[number]

/** What a key provider is given with every call. */
export interface KeyProviderCallOptions {
  /** Aborted when the caller has given up or the time is over: end the request then. */
  readonly signal: AbortSignal
  /** Milliseconds until the call is given up. */
  readonly timeoutMs: number
}

/** How long a call to a key provider may take, and when to give it up. */
export interface ProviderCallOptions {
  /** Aborts the call. */
  readonly signal?: AbortSignal
  /** Milliseconds until the call is given up. @defaultValue 10_000 */
  readonly timeoutMs?: number
}

/**
 * One key of a key management service, which wraps DEKs and never leaves it. Implement it for a service, and give it to a
 * key source under the id of a KEK.
 *
 * - `[PROV-1]` Wraps with authenticated symmetric encryption, never with a public key: who knows that could forge envelopes.
 * - `[PROV-2]` `unwrapKey` gives back exactly what `wrapKey` was given, in any process, for as long as envelopes are kept.
 * - `[PROV-3]` A definite answer about a wrapped DEK is a return value: bytes, or `null` for "not wrapped by this key, or
 *   damaged". It is held against the record.
 * - `[PROV-4]` Everything else is thrown and held against no record: `ProviderError` with `ERR_KEY_PROVIDER_UNAVAILABLE` for
 *   an outage, a throttle or a time-out, with `ERR_KEY_PROVIDER_REFUSED` where the service does not let this process use the
 *   key. Any other error counts as an outage, and nothing of it is shown or kept.
 * - `[PROV-5]` A DEK is in no message, log, cache or `cause`. The bytes given and returned are overwritten by the caller.
 * - `[PROV-6]` A call may be made again, and up to 16 run at a time for each batch.
 */
export interface KeyProvider {
  readonly provider: KeyProviderName
  /** The immutable name of the key, such as its ARN: never an alias, which can be pointed to another key. Public. */
  readonly key: string
  /**
   * Wraps a DEK.
   *
   * @param dek - 32 bytes.
   * @returns 1 to 1,024 bytes. They may differ with every call.
   */
  wrapKey(dek: Uint8Array, options: KeyProviderCallOptions): Promise<Uint8Array>
  /**
   * Unwraps a DEK.
   *
   * @param wrappedDek - 1 to 1,024 bytes, perhaps not made by this key.
   * @returns The DEK, or `null`.
   */
  unwrapKey(wrappedDek: Uint8Array, options: KeyProviderCallOptions): Promise<Uint8Array | null>
}

const MAX_KEY_NAME_BYTES = 2_048

/**
 * Refuses what is no key provider.
 *
 * @param value - What a caller gave as one.
 * @throws TypeError
 */
export function checkKeyProvider(value: unknown): asserts value is KeyProvider {
  const { provider, key, wrapKey, unwrapKey } = (value ?? {}) as Partial<Record<keyof KeyProvider, unknown>>
  if (!KEY_PROVIDER_NAMES.some((name) => name === provider)) {
    throw new TypeError(`The provider of a remote KEK is one of ${KEY_PROVIDER_NAMES.join(', ')}.`)
  }
  if (typeof key !== 'string') throw new TypeError('The key of a key provider is text.')
  if (typeof wrapKey !== 'function' || typeof unwrapKey !== 'function') {
    throw new TypeError('A key provider has the functions wrapKey and unwrapKey.')
  }
}

/**
 * Finds what makes the name of a provider's key unfit. A KEK may have been put in its place, so no fault holds it.
 *
 * @param provider - A key provider.
 * @returns Every fault.
 */
export function keyNameFaults({ provider, key }: KeyProvider): readonly string[] {
  if (key === '') return ['names no key: give its immutable name']
  if (!key.isWellFormed() || /[\s\p{Cc}]/u.test(key) || Buffer.byteLength(key) > MAX_KEY_NAME_BYTES) {
    return [`names a key with white space, control characters or more than ${MAX_KEY_NAME_BYTES} bytes`]
  }
  return provider === 'aws-kms' && /(^|:)alias\//.test(key)
    ? ['names an alias, which can be pointed to another key: give the ARN of the key itself']
    : []
}
