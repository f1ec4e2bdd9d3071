import { describe, expect, it } from 'vitest'
import { unwrapValue } from '../../src/codec/unwrap.ts'
import { open } from '../../src/crypto/aead.ts'
import { deriveKeys } from '../../src/crypto/derive.ts'
import { encodeContext } from '../../src/format/context.ts'
import { serialiseWrap } from '../../src/format/envelope-v2.ts'
import { wrapKey } from '../../src/keyring/kek.ts'
import { counting, text, V1 } from '../sample.ts'
import { twoKeyPayload } from '../support/two-key-payload.ts'

const context = encodeContext({ namespace: 'gateway', name: 'openai/prod' })
const deks = [counting(0x10, 32), counting(0x90, 32)] as const
const keys = deks.map((dek) => deriveKeys(dek, context)) as [
  ReturnType<typeof deriveKeys>,
  ReturnType<typeof deriveKeys>,
]
const values = ['value of the one', 'and of the other'] as const

function wrapOf(dek: Uint8Array, commit: Uint8Array): string {
  const { id: kekId, suite, fingerprint } = V1
  return serialiseWrap({ kekId, suite, fingerprint, commit, wrappedDek: wrapKey(V1, dek) })
}

function unwrap(wrap: string, sealed: Uint8Array): Uint8Array {
  return unwrapValue(() => V1, wrap, sealed, context)
}

describe('a payload that authenticates under two keys', () => {
  const [first, second] = keys
  const sealed = new Uint8Array(
    twoKeyPayload([first.encKey, second.encKey], counting(0x40, 12), context, [
      Buffer.from(values[0]),
      Buffer.from(values[1]),
    ]),
  )

  it('exists: AES-GCM alone opens it to two values', () => {
    const opened = keys.map(({ encKey }) => open(encKey, context, sealed) as Uint8Array)
    expect(opened[0]).not.toBeNull()
    expect(opened[1]).not.toBeNull()
    expect(text((opened[0] as Uint8Array).subarray(0, 16))).toBe(values[0])
    expect(text((opened[1] as Uint8Array).subarray(16, 32))).toBe(values[1])
  })

  it('opens under the key that the envelope commits to, and under no other one', () => {
    const committed = wrapOf(deks[0], first.commit)
    expect(text(unwrap(committed, sealed).subarray(0, 16))).toBe(values[0])
    // The other DEK is wrapped in order, its key fits the tag, and only the commitment is left to find it.
    const exchanged = wrapOf(deks[1], first.commit)
    expect(() => unwrap(exchanged, sealed)).toThrow(
      expect.objectContaining({ reason: 'commitment_mismatch' }),
    )
  })

  it('needs another commitment to open to the other value, so the wrap text tells the two apart', () => {
    const other = wrapOf(deks[1], second.commit)
    expect(text(unwrap(other, sealed).subarray(16, 32))).toBe(values[1])
    expect(other).not.toBe(wrapOf(deks[0], first.commit))
  })

  it('is refused under any third key', () => {
    const { encKey, commit } = deriveKeys(counting(0x33, 32), context)
    expect(open(encKey, context, sealed)).toBeNull()
    expect(() => unwrap(wrapOf(counting(0x33, 32), commit), sealed)).toThrow(
      expect.objectContaining({ reason: 'payload_corrupt' }),
    )
  })
})
