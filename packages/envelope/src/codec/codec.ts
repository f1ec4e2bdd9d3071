import { DecryptError, KeyError, type ProviderError } from '../errors.ts'
import { encodeContext } from '../format/context.ts'
import {
  joinEnvelope,
  MAX_VALUE_BYTES,
  type ParsedEnvelope,
  parseEnvelope,
  parseEnvelopeWrap,
} from '../format/envelope-v2.ts'
import type { Kek } from '../keyring/kek.ts'
import type { ProviderCallOptions } from '../keyring/key-provider.ts'
import type { KeySource } from '../keyring/key-source.ts'
import type { Keyring } from '../keyring/keyring.ts'
import { checkEnvelopeType, type EnvelopeHeader, peek } from './peek.ts'
import { type RewrapOutcome, rewrapParsed } from './rewrap.ts'
import { openSealed } from './unwrap.ts'
import { checkValueSize, lengthOf, wrapValue } from './wrap.ts'

/**
 * What a value is bound to: 1 to 16 pairs of text. Keys have 1 to 128 bytes of UTF-8, values 0 to 4,096,
 * together at most 8,192; well-formed, without U+0000, never normalised. An envelope opens under exactly
 * these pairs only.
 */
export type EncryptionContext = Readonly<Record<string, string>>

/** Options of {@link createCodec}. */
export interface CodecOptions {
  /** Where the KEKs come from. They are loaded once. */
  readonly keys: KeySource
  /**
   * The most bytes of a value that `wrap` takes, 1 to 1,048,576. What was wrapped under a higher limit still
   * opens.
   * @defaultValue 65_536
   */
  readonly maxValueBytes?: number
  /** Aborts loading the KEKs. */
  readonly signal?: AbortSignal
}

/** One envelope and the context of its value. */
export interface EnvelopeItem {
  readonly envelope: string
  readonly context: EncryptionContext
}

/** What became of one envelope of `rewrapMany`. A `ProviderError` says nothing about the envelope. */
export type RewrapResult = { readonly envelope: string } | { readonly error: DecryptError | ProviderError }

/**
 * Makes, opens and moves envelopes that the caller keeps. It holds KEKs and prints nothing of them.
 *
 * All methods throw `TypeError` when an envelope is not text or a context breaks its rules, and `ProviderError` with
 * `ERR_KEY_PROVIDER_…` when the key provider of a remote KEK could not be asked. `signal` and `timeoutMs` (10 s) are for
 * such KEKs; under local ones nothing is waited for.
 */
export interface Codec {
  /**
   * Wraps a value under a fresh DEK and the current KEK of the key source.
   *
   * @param value - Text, which is encoded as UTF-8 and must be well-formed, or bytes.
   * @param context - What the value is bound to.
   * @returns The envelope's text.
   * @throws FormatError `ERR_VALUE_TOO_LARGE`.
   */
  wrap(value: string | Uint8Array, context: EncryptionContext, options?: ProviderCallOptions): Promise<string>

  /**
   * Opens an envelope.
   *
   * @param envelope - The envelope's text.
   * @param context - The pairs it was wrapped with, in any order.
   * @returns The value, in memory of its own.
   * @throws DecryptError `ERR_DECRYPT_FAILED`; `reason` names the first check that failed.
   */
  unwrap(envelope: string, context: EncryptionContext, options?: ProviderCallOptions): Promise<Uint8Array>

  /**
   * Moves an envelope's DEK under the current KEK of the key source. The value is not decrypted; the part
   * after the last colon stays as it is.
   *
   * @param envelope - The envelope's text.
   * @param context - The pairs it was wrapped with.
   * @returns The new text; an equal one when the DEK is under the current KEK already.
   * @throws DecryptError `ERR_DECRYPT_FAILED`; `reason` names the first check that failed.
   */
  rewrap(envelope: string, context: EncryptionContext, options?: ProviderCallOptions): Promise<string>

  /**
   * Moves many envelopes, at a fraction of the cost of moving them one by one. Between local KEKs it runs without a
   * pause: some 10 ms for each 1,000 envelopes. From or to a remote KEK 16 are on their way at a time, and once a
   * key provider has failed the rest get its error without being tried.
   *
   * @param items - Any number of envelopes.
   * @param options - `timeoutMs` is for each envelope.
   * @returns For each item, in order, what `rewrap` returns or throws.
   */
  rewrapMany(items: readonly EnvelopeItem[], options?: ProviderCallOptions): Promise<RewrapResult[]>

  /** See the function {@link peek}. */
  peek(envelope: string): EnvelopeHeader
}

const DEFAULT_MAX_VALUE_BYTES = 65_536

/**
 * Makes a codec for callers who keep envelopes themselves.
 *
 * @param options - The key source and limits.
 * @returns The codec, once the KEKs are loaded.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with every fault of the key source.
 * @throws TypeError when `maxValueBytes` is out of range.
 */
export async function createCodec(options: CodecOptions): Promise<Codec> {
  const { keys, maxValueBytes = DEFAULT_MAX_VALUE_BYTES, signal } = options
  if (!Number.isInteger(maxValueBytes) || maxValueBytes < 1 || maxValueBytes > MAX_VALUE_BYTES) {
    throw new TypeError(`maxValueBytes is an integer from 1 to ${MAX_VALUE_BYTES}.`)
  }
  const keyring = await keys.load(signal === undefined ? {} : { signal })
  return new KeyringCodec(keyring, maxValueBytes)
}

class KeyringCodec implements Codec {
  readonly #keyring: Keyring
  readonly #current: Kek
  readonly #maxValueBytes: number

  constructor(keyring: Keyring, maxValueBytes: number) {
    this.#keyring = keyring
    this.#current = currentKek(keyring)
    this.#maxValueBytes = maxValueBytes
  }

  readonly #resolve = (kekId: string): Kek | null => this.#keyring.get(kekId) ?? null

  async wrap(
    value: string | Uint8Array,
    context: EncryptionContext,
    options?: ProviderCallOptions,
  ): Promise<string> {
    const encoded = encodeContext(context)
    checkValue(value, this.#maxValueBytes)
    const wrapped = wrapValue(this.#current, value, encoded, options)
    // No turn of the event loop where none is needed.
    const { wrap, sealed } = wrapped instanceof Promise ? await wrapped : wrapped
    return joinEnvelope(wrap, sealed)
  }

  async unwrap(
    envelope: string,
    context: EncryptionContext,
    options: ProviderCallOptions = {},
  ): Promise<Uint8Array> {
    const encoded = encodeContext(context)
    const { fields, sealed } = parsedOrThrow(envelope)
    return openSealed(this.#resolve, fields, sealed, encoded, options)
  }

  async rewrap(
    envelope: string,
    context: EncryptionContext,
    options: ProviderCallOptions = {},
  ): Promise<string> {
    const [result] = await this.rewrapMany([{ envelope, context }], options)
    if (result !== undefined && 'envelope' in result) return result.envelope
    throw result?.error
  }

  async rewrapMany(
    items: readonly EnvelopeItem[],
    options: ProviderCallOptions = {},
  ): Promise<RewrapResult[]> {
    const parsed = items.map(({ envelope, context }) => {
      checkEnvelopeType(envelope)
      const parsed = parseEnvelopeWrap(envelope)
      const [fields, sealedText] = 'fault' in parsed ? [parsed, ''] : [parsed.fields, parsed.sealedText]
      return { fields, context: encodeContext(context), sealedText }
    })
    const rewrapped = rewrapParsed(this.#resolve, this.#current, parsed, options)
    const outcomes = rewrapped instanceof Promise ? await rewrapped : rewrapped
    return parsed.map(({ sealedText }, index) => {
      const outcome = outcomes[index] as RewrapOutcome
      return typeof outcome === 'string' ? { envelope: `${outcome}:${sealedText}` } : { error: outcome }
    })
  }

  peek(envelope: string): EnvelopeHeader {
    return peek(envelope)
  }
}

function currentKek(keyring: Keyring): Kek {
  const kekId = keyring.wishedKekId
  const kek = keyring.get(kekId)
  if (kek === undefined) {
    throw new KeyError(
      'ERR_KEK_NOT_LOADED',
      `The current KEK ${kekId} is not loaded. Add it to the key source.`,
      { kekId },
    )
  }
  if (keyring.isDecryptOnly(kekId)) {
    throw new KeyError('ERR_KEK_NOT_ALLOWED', `The key source marks its current KEK ${kekId} decrypt-only.`, {
      kekId,
    })
  }
  return kek
}

function parsedOrThrow(envelope: string): ParsedEnvelope {
  checkEnvelopeType(envelope)
  const parsed = parseEnvelope(envelope)
  if ('fault' in parsed) throw new DecryptError(parsed.fault, parsed.kekId)
  return parsed
}

function checkValue(value: unknown, maxValueBytes: number): asserts value is string | Uint8Array {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw new TypeError('A value must be text or a Uint8Array.')
  }
  checkValueSize(lengthOf(value), maxValueBytes)
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw new TypeError('A value that is text must be well-formed Unicode: this one holds a lone surrogate.')
  }
}
