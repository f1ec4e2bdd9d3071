import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import type { Contender } from '../measure/rounds.ts'
import { sampleContext, sampleInfo } from './sample.ts'

const INITIAL_VALUE = Buffer.alloc(8, 0xa6)
const GCM = { authTagLength: 16 } as const

/**
 * What no implementation of the format can do without: AES-KW, AES-GCM and one HMAC, each on a key that Node
 * has at hand already. No randomness, no text, no context, no copy.
 *
 * @param value - The value, as text.
 * @returns Contenders `floor wrap`, `floor unwrap` and `floor rewrap`.
 */
export function floorContenders(value: string): readonly Contender[] {
  const plaintext = Buffer.from(value)
  const info = sampleInfo(sampleContext(1))
  const kek = randomKey()
  const dek = randomKey()
  const dekBytes = dek.export()
  const encKey = randomKey()
  const nonce = randomBytes(12)

  const hmac = () => createHmac('sha512', dek).update(info).digest()
  const wrapKey = () => finish(createCipheriv('id-aes256-wrap', kek, INITIAL_VALUE), dekBytes)
  const wrappedDek = wrapKey()
  const unwrapKey = () => finish(createDecipheriv('id-aes256-wrap', kek, INITIAL_VALUE), wrappedDek)
  const seal = () => {
    const cipher = createCipheriv('aes-256-gcm', encKey, nonce, GCM).setAAD(info)
    return [finish(cipher, plaintext), cipher.getAuthTag()] as const
  }
  const [ciphertext, tag] = seal()
  const open = () =>
    finish(createDecipheriv('aes-256-gcm', encKey, nonce, GCM).setAAD(info).setAuthTag(tag), ciphertext)

  const inTurn = (...steps: readonly (() => unknown)[]) => {
    const [first, second, third] = steps as [() => unknown, () => unknown, () => unknown]
    return () => {
      first()
      second()
      third()
    }
  }
  return [
    { name: 'floor wrap', run: inTurn(wrapKey, hmac, seal) },
    { name: 'floor unwrap', run: inTurn(unwrapKey, hmac, open) },
    { name: 'floor rewrap', run: inTurn(unwrapKey, hmac, wrapKey) },
  ]
}

/**
 * The HMACs that a rewrap of many values cannot do without.
 *
 * @param count - How many values.
 * @returns Contenders `hmac fresh`, on the bytes of DEKs as unwrapping gives them, in the form that this Node
 * takes them fastest, and `hmac cached`, on keys that Node has at hand.
 */
export function hmacContenders(count: number): readonly Contender[] {
  const infos = Array.from({ length: count }, (_, index) => sampleInfo(sampleContext(index)))
  const keys = infos.map(randomKey)
  const bytes = keys.map((key) => key.export())
  const hmacs = (keyOf: (index: number) => KeyObject | Buffer) => () => {
    for (let index = 0; index < count; index += 1) {
      createHmac('sha512', keyOf(index))
        .update(infos[index] as Buffer)
        .digest()
    }
  }
  const asBytes = hmacs((index) => bytes[index] as Buffer)
  const asKeys = hmacs((index) => createSecretKey(bytes[index] as Buffer))
  return [
    { name: 'hmac fresh', run: fasterOf(asBytes, asKeys), values: count },
    { name: 'hmac cached', run: hmacs((index) => keys[index] as KeyObject), values: count },
  ]
}

/** Tries both in turn, until compilers and a busy machine no longer decide. */
function fasterOf(first: () => void, second: () => void): () => void {
  const best = { first: Number.POSITIVE_INFINITY, second: Number.POSITIVE_INFINITY }
  for (let attempt = 0; attempt < 20; attempt += 1) {
    best.first = Math.min(best.first, timeOf(first))
    best.second = Math.min(best.second, timeOf(second))
  }
  return best.first < best.second ? first : second
}

function timeOf(run: () => void): number {
  const start = performance.now()
  run()
  return performance.now() - start
}

function randomKey(): KeyObject {
  return createSecretKey(randomBytes(32))
}

function finish(cipher: ReturnType<typeof createCipheriv | typeof createDecipheriv>, input: Buffer): Buffer {
  const output = cipher.update(input)
  cipher.final()
  return output
}
