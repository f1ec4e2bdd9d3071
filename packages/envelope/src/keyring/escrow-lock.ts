import { utf8 } from '../bytes.ts'
import { drawBytes, drawKey } from '../crypto/random.ts'
import { deriveFromPassphrase } from '../crypto/scrypt.ts'
import { agreeOnKey, x25519PublicKey } from '../crypto/x25519.ts'
import { encodePae } from '../format/pae.ts'
import { type Protection, SALT_BYTES } from './escrow-file.ts'
import { passphraseBytes } from './escrow-passphrase.ts'

/** Whom a KEK is sealed for, checked. */
export type Holder =
  | { readonly passphrase: string; readonly costLog2: number }
  /** 32 bytes. */
  | { readonly publicKey: Uint8Array }

/** What a file is opened with, checked. */
export type Opener = { readonly passphrase: string } | { /** 32 bytes. */ readonly privateKey: Uint8Array }

/** A key that is used once, and how it can be made again. */
export interface Lock {
  readonly protection: Protection
  /** 32 bytes, to be cleared by the caller. */
  readonly key: Uint8Array
}

/**
 * Makes the key of a new file, with a salt or an ephemeral key of its own.
 *
 * @returns The lock, or `null` when the public key is a point of low order.
 */
export async function makeLock(holder: Holder, signal?: AbortSignal): Promise<Lock | null> {
  if ('passphrase' in holder) {
    const { passphrase, costLog2 } = holder
    const salt = drawBytes(SALT_BYTES)
    const key = await derive(passphrase, salt, costLog2, signal)
    return { protection: { method: 'passphrase', costLog2, salt }, key }
  }
  const recipient = holder.publicKey
  const secret = drawKey()
  const ephemeral = x25519PublicKey(secret)
  const key = agreeOnKey(secret, recipient, infoOf(ephemeral, recipient))
  secret.fill(0)
  return key && { protection: { method: 'x25519', recipient, ephemeral }, key }
}

/**
 * Makes the key of a file again.
 *
 * @returns 32 bytes, to be cleared by the caller and not yet known to be the right ones, or `null` when the file cannot be
 * opened with this.
 */
export async function openLock(
  protection: Protection,
  opener: Opener,
  signal?: AbortSignal,
): Promise<Uint8Array | null> {
  if (protection.method === 'passphrase') {
    if (!('passphrase' in opener)) return null
    return await derive(opener.passphrase, protection.salt, protection.costLog2, signal)
  }
  if (!('privateKey' in opener)) return null
  // The info has the public key of the header: the private key of another recipient gives another key.
  return agreeOnKey(
    opener.privateKey,
    protection.ephemeral,
    infoOf(protection.ephemeral, protection.recipient),
  )
}

async function derive(
  passphrase: string,
  salt: Uint8Array,
  costLog2: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const bytes = passphraseBytes(passphrase)
  try {
    return await deriveFromPassphrase(bytes, salt, costLog2, signal)
  } finally {
    bytes.fill(0)
  }
}

function infoOf(ephemeral: Uint8Array, recipient: Uint8Array): Uint8Array {
  return encodePae([utf8('talos-sealed-kek'), utf8('v1'), ephemeral, recipient])
}
