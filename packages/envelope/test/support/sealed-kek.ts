import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  scryptSync,
} from 'node:crypto'

/**
 * A writer and a reader of sealed KEKs that know docs/reference/escrow.md and `node:crypto`, and nothing of the package.
 * They check no more than they must: what a file of the wrong form has to answer is tested elsewhere.
 */

const hash = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const sha256 = createHash('sha256')
  for (const part of parts) sha256.update(part)
  return sha256.digest()
}

export const base64url = (...parts: readonly Uint8Array[]): string =>
  Buffer.concat(parts).toString('base64url')

export function keyText(kind: 'public' | 'private', key: Uint8Array): string {
  const prefix = `talos-escrow-${kind}:`
  return prefix + base64url(key, hash(prefix, key).subarray(0, 4))
}

function keyBytes(text: string): Buffer {
  return Buffer.from(text.slice(text.indexOf(':') + 1), 'base64url').subarray(0, 32)
}

function privateObject(key: Uint8Array) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), key])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

function publicObject(key: Uint8Array) {
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: base64url(key) }, format: 'jwk' })
}

export function publicOf(privateKey: Uint8Array): Uint8Array {
  const { x = '' } = createPublicKey(privateObject(privateKey)).export({ format: 'jwk' })
  return Buffer.from(x, 'base64url')
}

function agree(privateKey: Uint8Array, publicKey: Uint8Array): Buffer {
  return diffieHellman({ privateKey: privateObject(privateKey), publicKey: publicObject(publicKey) })
}

function expand(shared: Uint8Array, ephemeral: Uint8Array, recipient: Uint8Array): Buffer {
  const parts = [Buffer.from('talos-sealed-kek'), Buffer.from('v1'), ephemeral, recipient]
  const info = [u32(parts.length), ...parts.flatMap((part) => [u32(part.length), part])]
  return Buffer.from(hkdfSync('sha256', shared, new Uint8Array(), Buffer.concat(info), 32))
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function stretch(passphrase: string, salt: Uint8Array, N: number): Buffer {
  return scryptSync(Buffer.from(passphrase.normalize('NFC')), salt, 32, { N, r: 8, p: 1, maxmem: 2 ** 30 })
}

/** Everything that goes into a file, nothing of it random. */
export interface Ingredients {
  readonly kek: Uint8Array
  readonly nonce: Uint8Array
  /** Lines 2 to 4: `kek-id`, `fingerprint` and `sealed-at`. */
  readonly about: readonly string[]
  readonly for:
    | { readonly passphrase: string; readonly salt: Uint8Array; readonly N: number }
    | { readonly recipient: Uint8Array; readonly ephemeralSecret: Uint8Array }
    /** What somebody sends who knows no secret: with a point of low order the shared secret is all zeros. */
    | { readonly recipient: Uint8Array; readonly lowOrderPoint: Uint8Array }
}

/** Writes any file, also one that nobody should open. */
export function writeSealed({ kek, nonce, about, for: holder }: Ingredients): string {
  let key: Buffer
  let how: readonly string[]
  if ('passphrase' in holder) {
    key = stretch(holder.passphrase, holder.salt, holder.N)
    how = ['method: passphrase', `scrypt: N=${holder.N} r=8 p=1`, `salt: ${base64url(holder.salt)}`]
  } else {
    const { recipient } = holder
    const ephemeral = 'lowOrderPoint' in holder ? holder.lowOrderPoint : publicOf(holder.ephemeralSecret)
    const shared = 'lowOrderPoint' in holder ? new Uint8Array(32) : agree(holder.ephemeralSecret, recipient)
    key = expand(shared, ephemeral, recipient)
    how = [
      'method: x25519',
      `recipient: ${keyText('public', recipient)}`,
      `ephemeral: ${base64url(ephemeral)}`,
    ]
  }
  const header = `${['-----BEGIN TALOS SEALED KEK V1-----', ...about, ...how].join('\n')}\n\n`
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(header))
  const ciphertext = [cipher.update(kek), cipher.final()]
  return withCheck(`${header}${base64url(nonce, ...ciphertext, cipher.getAuthTag())}\n`)
}

/**
 * Puts the two last lines behind the others.
 *
 * @param text - A file, or as much of one as stands before its check.
 */
export function withCheck(text: string): string {
  const checked = text.split('check: ', 1).join()
  return `${checked}check: ${hash(checked).toString('hex', 0, 4)}\n-----END TALOS SEALED KEK V1-----\n`
}

/** Opens a file with a passphrase or the text of a private key. */
export function readSealed(text: string, secret: string): { kek: Buffer; header: Record<string, string> } {
  const bodyStart = text.indexOf('\n\n') + 2
  const lines = text.split('\n')
  const header = Object.fromEntries(lines.slice(1, 7).map((line) => line.split(': ') as [string, string]))
  const { method, scrypt = '', salt = '', recipient = '', ephemeral = '' } = header
  let key: Buffer
  if (method === 'passphrase') {
    key = stretch(secret, Buffer.from(salt, 'base64url'), Number(/^N=(\d+) r=8 p=1$/.exec(scrypt)?.[1]))
  } else {
    const point = Buffer.from(ephemeral, 'base64url')
    key = expand(agree(keyBytes(secret), point), point, keyBytes(recipient))
  }
  const sealed = Buffer.from(lines[8] ?? '', 'base64url')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(text.slice(0, bodyStart))).setAuthTag(sealed.subarray(44))
  const kek = Buffer.concat([decipher.update(sealed.subarray(12, 44)), decipher.final()])
  const constant = hash('talos-envelope/v2 kek-fingerprint')
  const wrap = createCipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6))
  const fingerprint = wrap.update(constant).toString('hex', 0, 8)
  if (fingerprint !== header['fingerprint']) throw new Error('The fingerprint is another one.')
  return { kek, header }
}

/** The seven points of low order and their other spellings: the highest bit does not count. */
export const LOW_ORDER_POINTS: readonly Uint8Array[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].flatMap((hex) => {
  const bytes = new Uint8Array(Buffer.from(hex, 'hex'))
  const other = bytes.slice()
  other[31] = (other[31] ?? 0) | 0x80
  return [bytes, other]
})
