import { describe, expect, it } from 'vitest'
import { unwrapValue } from '../../src/codec/unwrap.ts'
import { sealWith } from '../../src/codec/wrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import { joinEnvelope, parseEnvelope } from '../../src/format/envelope-v2.ts'
import { createCodec, explicitKeys, peek } from '../../src/index.ts'
import { KNOWN, text, V1 } from '../sample.ts'

const context = encodeContext(KNOWN.context)

describe('the known answer of the format', () => {
  it('has this fingerprint', () => {
    expect(V1.fingerprint).toBe(KNOWN.fingerprint)
  })

  it('has this info, byte for byte', () => {
    expect(Buffer.from(context).toString('hex')).toBe(
      [
        '00000005',
        '0000000e74616c6f732d656e76656c6f7065',
        '000000027632',
        '000000020001',
        '0000000464617461',
        '00000047',
        '00000008',
        '000000046e616d65',
        '0000000b6f70656e61692f70726f64',
        '000000096e616d657370616365',
        '0000000767617465776179',
        '000000017a',
        '0000000131',
        '00000002c3a9',
        '00000000',
      ].join(''),
    )
  })

  it('is written byte for byte', () => {
    const { wrap, sealed } = sealWith(V1, KNOWN.dek, KNOWN.nonce, Buffer.from(KNOWN.value), context)
    expect(joinEnvelope(wrap, sealed)).toBe(KNOWN.envelope)
  })

  it('has this commitment', () => {
    const parsed = parseEnvelope(KNOWN.envelope)
    if ('fault' in parsed) throw new Error(parsed.fault)
    expect(Buffer.from(parsed.fields.commit).toString('hex')).toBe(KNOWN.commit)
    expect(text(unwrapValue(() => V1, parsed.wrap, parsed.sealed, context))).toBe(KNOWN.value)
  })

  it('opens through the public API, whatever the order of the pairs', async () => {
    const keys = explicitKeys({ currentKekId: 'v1', keks: { v1: KNOWN.kekBytes } })
    const codec = await createCodec({ keys })
    const pairs = { é: '', z: '1', namespace: 'gateway', name: 'openai/prod' }
    expect(text(await codec.unwrap(KNOWN.envelope, pairs))).toBe(KNOWN.value)
  })

  it('says this about itself without keys', () => {
    expect(peek(KNOWN.envelope)).toEqual({
      version: 'v2',
      suite: '0001',
      kekId: 'v1',
      fingerprint: KNOWN.fingerprint,
      sealedBytes: 43,
    })
  })
})
