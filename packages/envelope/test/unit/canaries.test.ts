import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CANARY_DEK, CANARY_KEK, CANARY_SECRET, findCanaries } from '../../../../test/canaries.ts'
import { sealWith } from '../../src/codec/wrap.ts'
import { encodeContext } from '../../src/format/context.ts'
import { joinEnvelope } from '../../src/format/envelope-v2.ts'
import { createCodec, environmentKeys, explicitKeys, peek } from '../../src/index.ts'
import { createKek } from '../../src/keyring/kek.ts'
import { counting, flipBit, joinParts, partsOf } from '../sample.ts'

const CONTEXT = { name: 'canary' }
const KEK = createKek('v1', CANARY_KEK)
const KEK_TEXT = Buffer.from(CANARY_KEK).toString('base64url')
const { wrap, sealed } = sealWith(
  KEK,
  CANARY_DEK,
  counting(0, 12),
  Buffer.from(CANARY_SECRET),
  encodeContext(CONTEXT),
)
const ENVELOPE = joinEnvelope(wrap, sealed)

/** Everything that a logger, a serialiser or a debugger may make of a value. */
function renderings(value: unknown): string[] {
  const error = value instanceof Error ? [value.stack ?? '', value.message, String(value.cause)] : []
  return [
    inspect(value, {
      depth: 12,
      showHidden: true,
      getters: true,
      maxArrayLength: null,
      maxStringLength: null,
    }),
    inspect(value, { depth: 12, customInspect: false, showHidden: true }),
    JSON.stringify(value) ?? '',
    JSON.stringify(Object.getOwnPropertyDescriptors(value as object)) ?? '',
    String(value),
    ...error,
  ]
}

function expectNoCanary(values: readonly unknown[]): void {
  expect(values.flatMap(renderings).flatMap(findCanaries)).toEqual([])
}

const keys = explicitKeys({ currentKekId: 'v1', keks: { v1: CANARY_KEK } })
const codec = await createCodec({ keys })
const failure = (action: Promise<unknown>): Promise<unknown> =>
  action.then(
    () => new Error('This was expected to fail.'),
    (error: unknown) => error,
  )

describe('KEK, DEK and value', () => {
  it('can be found by this test: a rendering that holds one is noticed', () => {
    for (const leak of [{ leak: CANARY_DEK }, { leak: CANARY_SECRET }, { leak: KEK_TEXT }]) {
      expect(renderings(leak).flatMap(findCanaries)).not.toEqual([])
    }
  })

  it('show in no envelope, key, key source, keyring or codec', async () => {
    expectNoCanary([KEK, keys, await keys.load(), codec, peek(ENVELOPE), ENVELOPE, { wrap, sealed }])
    expect(Buffer.from(await codec.unwrap(ENVELOPE, CONTEXT)).toString()).toBe(CANARY_SECRET)
  })

  it('show in no error of a damaged envelope', async () => {
    const parts = partsOf(ENVELOPE)
    const damaged = [
      'hello',
      `${ENVELOPE}=`,
      ENVELOPE.replace(':v1:', ':v9:'),
      ...[9, 16, 8 * 10, 8 * 42].map((bit) => joinParts({ ...parts, wrap: flipBit(parts.wrap, bit) })),
      joinParts({ ...parts, sealed: flipBit(parts.sealed, 8 * 12) }),
    ]
    const errors = await Promise.all(damaged.map((text) => failure(codec.unwrap(text, CONTEXT))))
    const reasons = errors.map((error) => (error as { readonly reason: string }).reason)
    expect(reasons).toEqual([
      'unsupported',
      'malformed',
      'kek_unknown',
      'unsupported',
      'kek_mismatch',
      'commitment_mismatch',
      'wrap_corrupt',
      'payload_corrupt',
    ])
    expectNoCanary(errors)
  })

  it('show in no error of misuse', async () => {
    const small = await createCodec({ keys, maxValueBytes: 8 })
    expectNoCanary(
      await Promise.all([
        failure(small.wrap(CANARY_SECRET, CONTEXT)),
        failure(codec.wrap(`${CANARY_SECRET}\ud800`, CONTEXT)),
        failure(codec.wrap({ value: CANARY_SECRET } as never, CONTEXT)),
        failure(codec.wrap('value', { [CANARY_SECRET]: `${CANARY_SECRET}\0` })),
        failure(codec.wrap('value', { [`${CANARY_SECRET}\ud800`]: '' })),
        failure(codec.wrap('value', CANARY_SECRET as never)),
        failure(codec.unwrap(CANARY_SECRET, CONTEXT)),
        failure(codec.unwrap(KEK_TEXT, CONTEXT)),
        failure(codec.rewrap(CANARY_SECRET, CONTEXT)),
      ]),
    )
  })

  it('show in no error of a key configuration, wherever the key was pasted', async () => {
    const spellings = [
      KEK_TEXT,
      `${KEK_TEXT}=`,
      ` ${KEK_TEXT}`,
      KEK_TEXT.slice(1),
      `${KEK_TEXT}A`,
      Buffer.from(CANARY_KEK).toString('base64'),
      Buffer.from(CANARY_KEK).toString('hex'),
      Buffer.from(CANARY_KEK).toString('hex').toUpperCase(),
      CANARY_SECRET,
    ]
    const errors = await Promise.all(
      spellings.flatMap((text) =>
        [
          { TALOS_KEK_v1: text, TALOS_CURRENT_KEK_ID: 'none' },
          { TALOS_KEK_v1: KEK_TEXT, TALOS_CURRENT_KEK_ID: text },
          { TALOS_KEK_v1: KEK_TEXT, TALOS_CURRENT_KEK_ID: 'v1', TALOS_DECRYPT_ONLY_KEK_IDS: text },
          { [`TALOS_KEK_${text}`]: text, TALOS_CURRENT_KEK_ID: text },
          { TALOS_KEK_v1_FILE: text, TALOS_CURRENT_KEK_ID: 'v1' },
          { [`TALOS_KEK_${text}_FILE`]: text, TALOS_KEK_DIR: text, TALOS_CURRENT_KEK_ID: 'v1' },
        ].map((environment) => failure(environmentKeys({ environment }).load())),
      ),
    )
    expect(errors.filter((error) => (error as { code?: string }).code !== 'ERR_KEY_CONFIGURATION')).toEqual(
      [],
    )
    expectNoCanary(errors)
  })
})
