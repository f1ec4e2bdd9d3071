import { encodeHex, utf8 } from '../bytes.ts'
import { equalConstantTime, sha256 } from '../crypto/digest.ts'
import { unwrapKeyBytes, wrapKeyBytes } from '../crypto/key-wrap.ts'
import { unwrapKeyBatch, wrapKeyBatch } from '../crypto/key-wrap-batch.ts'
import { drawKey, KEY_BYTES } from '../crypto/random.ts'
import { type SecretKey, secretKey } from '../crypto/secret-key.ts'
import type { RemoteKek } from './remote-kek.ts'

/** Length of `kek_fp` in bytes. All 40 bytes of that wrap would be a wrapped DEK that everybody knows. */
const FINGERPRINT_BYTES = 8

/** Wrapped under a KEK to tell it from another one. */
const FINGERPRINT_INPUT = sha256(utf8('talos-envelope/v2 kek-fingerprint'))

let keyOf: (kek: LocalKek) => SecretKey
let makeKek: (id: string, key: SecretKey) => LocalKek

/** A key encryption key: one whose bytes this process holds, or one that never leaves its key provider. */
export type Kek = LocalKek | RemoteKek

/**
 * A key encryption key whose bytes this process holds. It shows its id and its fingerprint and nothing else, however
 * it is printed; the key itself is out of reach of every property, reflection and copy.
 */
export class LocalKek {
  /** `[a-z0-9][a-z0-9_-]{0,31}`, not ending in `_file`. */
  readonly id: string
  /** 16 lowercase hexadecimal digits: the first 8 bytes of a constant wrapped under this KEK. Public. */
  readonly fingerprint: string
  /** How this KEK wraps. A KEK has exactly one suite. */
  readonly suite: '0001' = '0001'
  readonly #key: SecretKey

  static {
    keyOf = (kek) => kek.#key
    makeKek = (id, key) => new LocalKek(id, key)
  }

  private constructor(id: string, key: SecretKey) {
    this.id = id
    this.#key = key
    this.fingerprint = computeFingerprint(key)
    Object.freeze(this)
  }

  /** Names the id and the fingerprint, never the key. */
  toString(): string {
    return `[kek ${this.id} ${this.fingerprint}]`
  }

  /** The same text as `toString()`. */
  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * Makes a KEK of suite 0001.
 *
 * @param id - A KEK id, checked by the caller.
 * @param bytes - 32 bytes. They are copied; the caller may clear them.
 * @returns The KEK.
 * @throws RangeError when there are not 32 bytes.
 */
export function createKek(id: string, bytes: Uint8Array): LocalKek {
  if (bytes.length !== KEY_BYTES) throw new RangeError(`A KEK has ${KEY_BYTES} bytes.`)
  return makeKek(id, secretKey(bytes))
}

/**
 * Wraps a DEK under a KEK (AES-256-KW, RFC 3394).
 *
 * @param kek - The KEK.
 * @param dek - 32 bytes.
 * @returns 40 bytes.
 */
export function wrapKey(kek: LocalKek, dek: Uint8Array): Uint8Array {
  return wrapKeyBytes(keyOf(kek), dek)
}

/**
 * Unwraps a DEK.
 *
 * @param kek - The KEK.
 * @param wrappedDek - 40 bytes.
 * @returns 32 bytes, to be cleared after use, or `null` when the check of AES-KW fails.
 */
export function unwrapKey(kek: LocalKek, wrappedDek: Uint8Array): Uint8Array | null {
  return unwrapKeyBytes(keyOf(kek), wrappedDek)
}

/**
 * Wraps many DEKs under a KEK.
 *
 * @param kek - The KEK.
 * @param deks - 32 bytes each.
 * @returns For each, in order, what {@link wrapKey} returns.
 */
export function wrapKeys(kek: LocalKek, deks: readonly Uint8Array[]): readonly Uint8Array[] {
  return wrapKeyBatch(keyOf(kek), deks)
}

/**
 * Unwraps many DEKs.
 *
 * @param kek - The KEK.
 * @param wrappedDeks - 40 bytes each.
 * @returns For each, in order, what {@link unwrapKey} returns.
 */
export function unwrapKeys(
  kek: LocalKek,
  wrappedDeks: readonly Uint8Array[],
): readonly (Uint8Array | null)[] {
  return unwrapKeyBatch(keyOf(kek), wrappedDeks)
}

/**
 * Wraps and unwraps a fresh random DEK in memory and computes the fingerprint again. Nothing of it is kept: a
 * stored wrap of a known key would let its reader forge envelopes.
 *
 * @param kek - The KEK.
 * @returns Whether the KEK gives back what it wrapped and is the one its fingerprint names.
 */
export function passesSelfTest(kek: LocalKek): boolean {
  const dek = drawKey()
  const unwrapped = unwrapKey(kek, wrapKey(kek, dek))
  const returned = unwrapped !== null && equalConstantTime(unwrapped, dek)
  dek.fill(0)
  unwrapped?.fill(0)
  return returned && computeFingerprint(keyOf(kek)) === kek.fingerprint
}

/**
 * Computes the fingerprint that a KEK of these bytes has, for keys that are compared with KEKs and are none.
 *
 * @param bytes - 32 bytes.
 * @returns 16 lowercase hexadecimal digits.
 */
export function fingerprintOf(bytes: Uint8Array): string {
  return computeFingerprint(secretKey(bytes))
}

function computeFingerprint(key: SecretKey): string {
  return encodeHex(wrapKeyBytes(key, FINGERPRINT_INPUT).subarray(0, FINGERPRINT_BYTES))
}
