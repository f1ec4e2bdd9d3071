import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CANARY_DEK, CANARY_KEK, CANARY_SECRET, findCanaries } from '../../../../test/canaries.ts'
import { inspectSealedKek, openKek, sealKek } from '../../src/index.ts'
import { flipBit } from '../sample.ts'
import { base64url, keyText, publicOf, withCheck } from '../support/sealed-kek.ts'

/** The KEK, the passphrase and the private key are canaries, each of its own. */
const PASSPHRASE = CANARY_SECRET
const PRIVATE_KEY = keyText('private', CANARY_DEK)
const PUBLIC_KEY = keyText('public', publicOf(CANARY_DEK))
const KEK_TEXT = base64url(CANARY_KEK)

const sealing = { kekId: 'v1', kek: CANARY_KEK }
const forPassphrase = await sealKek({ ...sealing, for: { passphrase: PASSPHRASE } })
const forRecipient = await sealKek({ ...sealing, for: { publicKey: PUBLIC_KEY } })

function renderings(value: unknown): string[] {
  const error = value instanceof Error ? [value.stack ?? '', value.message, String(value.cause)] : []
  const all = { depth: 12, showHidden: true, maxArrayLength: null, maxStringLength: null }
  return [
    inspect(value, { ...all, getters: true }),
    inspect(value, { ...all, customInspect: false }),
    JSON.stringify(value) ?? '',
    JSON.stringify({ ...(value as object) }),
    JSON.stringify(Object.getOwnPropertyDescriptors(value as object)),
    `${value}`,
    ...error,
  ]
}

function expectNoCanary(values: readonly unknown[]): void {
  expect(values.flatMap(renderings).flatMap(findCanaries)).toEqual([])
}

const failure = (action: Promise<unknown>): Promise<unknown> =>
  action.then(
    () => expect.unreachable('This was expected to fail.'),
    (error: unknown) => error,
  )

describe('KEK, passphrase and private key', { timeout: 60_000 }, () => {
  it('can be found by this test: a rendering that holds one is noticed', () => {
    for (const leak of [CANARY_KEK, KEK_TEXT, PASSPHRASE, PRIVATE_KEY]) {
      expect(renderings({ leak }).flatMap(findCanaries)).not.toEqual([])
    }
  })

  it('show in no sealed file, header or opened KEK', async () => {
    const opened = [
      await openKek(forPassphrase, { passphrase: PASSPHRASE }),
      await openKek(forRecipient, { privateKey: PRIVATE_KEY }),
    ]
    for (const { kek } of opened) expect(kek).toEqual(CANARY_KEK)
    const texts = [forPassphrase, forRecipient]
    expectNoCanary([...opened, ...texts.map(inspectSealedKek), ...texts.map((text) => ({ text }))])
    expect(`${opened[0]}`).toMatch(/^\[kek v1 [0-9a-f]{16}\]$/)
  })

  it('show in no error of a file that does not open', async () => {
    const lines = forRecipient.split('\n')
    const body = flipBit(new Uint8Array(Buffer.from(lines[8] ?? '', 'base64url')), 100)
    const altered = lines.with(8, base64url(body)).join('\n')
    const errors = await Promise.all([
      failure(openKek(forPassphrase, { passphrase: `${PASSPHRASE}.` })),
      failure(openKek(forRecipient, { passphrase: PASSPHRASE })),
      failure(openKek(forPassphrase, { privateKey: PRIVATE_KEY })),
      failure(openKek(altered, { privateKey: PRIVATE_KEY })),
      failure(openKek(withCheck(altered), { privateKey: PRIVATE_KEY })),
    ])
    const codes = errors.map((error) => (error as { readonly code: string }).code)
    expect(codes).toEqual([
      ...Array<string>(3).fill('ERR_ESCROW_NOT_OPENED'),
      'ERR_ESCROW_MALFORMED',
      'ERR_ESCROW_NOT_OPENED',
    ])
    expectNoCanary(errors)
  })

  it('show in no error of misuse, wherever they were pasted', async () => {
    const secrets = [PASSPHRASE, PRIVATE_KEY, KEK_TEXT]
    const errors = await Promise.all(
      secrets.flatMap((secret) => [
        failure(sealKek({ ...sealing, kekId: secret, for: { passphrase: PASSPHRASE } })),
        failure(sealKek({ ...sealing, kek: secret as never, for: { passphrase: PASSPHRASE } })),
        failure(
          sealKek({ ...sealing, kek: new TextEncoder().encode(secret), for: { publicKey: PUBLIC_KEY } }),
        ),
        failure(sealKek({ ...sealing, for: { publicKey: secret } })),
        failure(sealKek({ ...sealing, for: { passphrase: `${secret}\n` } })),
        failure(sealKek({ ...sealing, for: { passphrase: `${secret}\ud800` } })),
        failure(sealKek({ ...sealing, for: secret as never })),
        failure(sealKek({ ...sealing, for: { passphrase: secret, costLog2: secret as never } })),
        failure(openKek(forPassphrase, { passphrase: `${secret}\ud800` })),
        failure(openKek(forRecipient, { privateKey: `${secret}A` })),
        failure(openKek(forRecipient, secret as never)),
        failure(openKek(secret, { privateKey: PRIVATE_KEY })),
        failure(openKek(forPassphrase.replace('kek-id: v1', `kek-id: ${secret}`), { passphrase: secret })),
        failure(openKek(forPassphrase.replace(/salt: .*/, `salt: ${secret}`), { passphrase: secret })),
      ]),
    )
    expect(errors).toHaveLength(42)
    expectNoCanary(errors)
  })
})
