import { randomBytes } from 'node:crypto'
import { explicitKeys, type KeyProvider, type KeySource } from '../../src/index.ts'
import {
  type LocalVectorKek,
  type OpenVector,
  type RemoteVectorKek,
  type VectorLists,
  vectorContext,
  vectorKeks,
  vectorText,
} from '../../src/testing/vector-file.ts'
import vectors from '../../vectors/v2.json' with { type: 'json' }

/** The vectors that the package ships. */
export const VECTORS = vectors as unknown as VectorLists

/** An envelope that opens, with its context. */
export interface Specimen {
  readonly id: string
  readonly envelope: string
  readonly context: Readonly<Record<string, string>>
}

/** The bytes of a KEK. */
export function bytesOfKek({ bytes }: LocalVectorKek): Uint8Array {
  return bytesOfHex(bytes)
}

function bytesOfHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

/** The provider that the table of a remote KEK stands for. It also wraps DEKs that nobody foresaw, as a self-test needs. */
export function tableProvider({ provider, key, unwraps }: RemoteVectorKek): KeyProvider {
  const deks = new Map(unwraps)
  const wrappedDeks = new Map([...deks].map(([wrappedDek, dek]) => [dek, wrappedDek]))
  return {
    provider: provider as KeyProvider['provider'],
    key,
    async wrapKey(dek) {
      const known = wrappedDeks.get(Buffer.from(dek).toString('hex'))
      if (known !== undefined) return bytesOfHex(known)
      const fresh = randomBytes(50)
      deks.set(fresh.toString('hex'), Buffer.from(dek).toString('hex'))
      return new Uint8Array(fresh)
    },
    async unwrapKey(wrappedDek) {
      const dek = deks.get(Buffer.from(wrappedDek).toString('hex'))
      return dek === undefined ? null : bytesOfHex(dek)
    },
  }
}

/** All KEKs of the vectors, also the one that may not open: a codec has no such state. */
export function vectorKeys(currentKekId = 'v1'): KeySource {
  const keks = vectorKeks(VECTORS).map((kek) => {
    return [kek.id, kek.suite === '0001' ? bytesOfKek(kek) : tableProvider(kek)] as const
  })
  return explicitKeys({ currentKekId, keks: Object.fromEntries(keks) })
}

/** The envelope of a vector. */
export function specimen(id: string): Specimen {
  const vector = VECTORS.open.find((each) => each.id === id)
  if (vector === undefined) throw new Error(`The vectors hold no ${id}.`)
  const { context = [['k', 'v']] } = vector
  return { id, envelope: wholeOf(vector), context: vectorContext(context) }
}

function wholeOf({ envelope, wrapOf = '', sealed }: OpenVector): string {
  if (envelope !== undefined) return vectorText(envelope)
  const base = specimen(wrapOf).envelope
  return sealed === undefined ? base : base.slice(0, base.lastIndexOf(':') + 1) + vectorText(sealed)
}

/** Twelve that differ in everything an envelope can differ in: KEK, length of id and value, context, odd bytes. */
export const TWELVE: readonly Specimen[] = [
  ...['known', 'empty', '2', '16', 'not-utf8', 'zero-dek'],
  ...['zero-commit', 'zero-fp', 'long-id', 'ones-dek', 'two-keys', 'beyond'],
].map(specimen)
