import { describe, expect, it } from 'vitest'
import {
  generateEscrowKeyPair,
  generateKek,
  inspectSealedKek,
  isEnvelopeError,
  openKek,
  sealKek,
} from '../../src/index.ts'
import { counting, flipBit, KNOWN } from '../sample.ts'
import { base64url, LOW_ORDER_POINTS, publicOf, withCheck, writeSealed } from '../support/sealed-kek.ts'

const PASSPHRASE = 'correct horse battery staple'
const pair = generateEscrowKeyPair()
const kek = new Uint8Array(Buffer.from(generateKek(), 'base64url'))
const forRecipient = await sealKek({ kekId: 'v1', kek, for: { publicKey: pair.publicKey } })
const forPassphrase = await sealKek({ kekId: 'v1', kek, for: { passphrase: PASSPHRASE } })

/** The code of the refusal; `opened` when there is none. Any error without a code fails the test. */
async function answerOf(text: string, opener: Parameters<typeof openKek>[1]): Promise<string> {
  try {
    await openKek(text, opener)
    return 'opened'
  } catch (error) {
    if (isEnvelopeError(error)) return error.code
    throw error
  }
}

const withKey = (text: string): Promise<string> => answerOf(text, pair)
const { privateKey } = pair
const opener = { privateKey }

function bodyOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.split('\n')[8] ?? '', 'base64url'))
}

function withBody(text: string, body: Uint8Array): string {
  return text.split('\n').with(8, base64url(body)).join('\n')
}

/** Refused before anything is computed: reading the header refuses it as well, and that has no key. */
async function expectMalformed(text: string, message = ''): Promise<void> {
  await expect(openKek(text, opener)).rejects.toMatchObject({
    name: 'FormatError',
    code: 'ERR_ESCROW_MALFORMED',
    message: expect.stringContaining(message),
  })
  expect(() => inspectSealedKek(text)).toThrow(message)
}

describe('an altered file is refused', { timeout: 60_000 }, () => {
  it('with any bit of its body flipped, also when the check was made to fit', async () => {
    const body = bodyOf(forRecipient)
    const answers: Record<string, number> = {}
    for (let bit = 0; bit < body.length * 8; bit += 1) {
      const flipped = withBody(forRecipient, flipBit(body, bit))
      await expectMalformed(flipped, 'it does not match its check')
      const answer = await answerOf(withCheck(flipped), opener)
      answers[answer] = (answers[answer] ?? 0) + 1
    }
    console.log(`escrow: ${body.length * 8} bits of the body flipped, ${answers['opened'] ?? 0} opened`)
    expect(answers).toEqual({ ERR_ESCROW_NOT_OPENED: 480 })
  })

  it('sealed with a passphrase, with any line altered into another legal one', async () => {
    const lines = forPassphrase.split('\n')
    const altered = [
      ['kek-id: ', 'kek-id: w1'],
      ['fingerprint: ', 'fingerprint: 0123456789abcdef'],
      ['sealed-at: ', 'sealed-at: 2020-01-01T00:00:00Z'],
      ['scrypt: ', 'scrypt: N=262144 r=8 p=1'],
      ['salt: ', `salt: ${base64url(counting(1, 16))}`],
    ].map(([start = '', line = '']) => {
      const at = lines.findIndex((each) => each.startsWith(start))
      return lines.with(at, line).join('\n')
    })
    for (const bit of [0, 200, 479])
      altered.push(withBody(forPassphrase, flipBit(bodyOf(forPassphrase), bit)))
    for (const text of altered) {
      expect(text).not.toBe(forPassphrase)
      expect(await answerOf(withCheck(text), { passphrase: PASSPHRASE })).toBe('ERR_ESCROW_NOT_OPENED')
    }
  })

  it('with any character of any line replaced, added or left out', async () => {
    const text = forRecipient
    const answers: Record<string, number> = {}
    for (let at = 0; at < text.length; at += 1) {
      const [before, found, after] = [text.slice(0, at), text[at] ?? '', text.slice(at + 1)]
      const swapped = found === found.toUpperCase() ? found.toLowerCase() : found.toUpperCase()
      const others = new Set(['A', '0', '1', '-', '=', ' ', '\n', '\r', 'é', swapped])
      others.delete(found)
      const altered = [...others].flatMap((other) => [before + other + after, before + other + found + after])
      for (const each of [before + after, ...altered].filter((other) => other !== text)) {
        expect(await withKey(each)).toBe('ERR_ESCROW_MALFORMED')
        const checked = withCheck(each)
        if (checked === text) continue
        const answer = await withKey(checked)
        answers[answer] = (answers[answer] ?? 0) + 1
      }
    }
    const tried = (answers['ERR_ESCROW_MALFORMED'] ?? 0) + (answers['ERR_ESCROW_NOT_OPENED'] ?? 0)
    console.log(`escrow: ${tried} files with one character altered, 0 opened: ${JSON.stringify(answers)}`)
    expect(answers['opened']).toBeUndefined()
    expect(answers['ERR_ESCROW_NOT_OPENED']).toBeGreaterThan(100)
  })

  it('cut anywhere, and with any line left out, doubled or moved', async () => {
    for (let end = 0; end < forRecipient.length; end += 1) await expectMalformed(forRecipient.slice(0, end))
    for (let start = 1; start < forRecipient.length; start += 1) {
      await expectMalformed(forRecipient.slice(start))
    }
    const lines = forRecipient.split('\n').slice(0, -1)
    for (const [index, line] of lines.entries()) {
      const changes = [
        lines.toSpliced(index, 1),
        lines.toSpliced(index, 0, line),
        lines.toSpliced(index, 0, ''),
        lines.toSpliced(index, 0, 'comment: none'),
        ...(index === 0 ? [] : [lines.toSpliced(index - 1, 2, line, lines[index - 1] ?? '')]),
      ]
      for (const changed of changes) {
        const text = `${changed.join('\n')}\n`
        await expectMalformed(text)
        const checked = withCheck(text)
        if (checked !== forRecipient) await expectMalformed(checked)
      }
    }
  })

  it.each([
    ['a byte order mark', `\ufeff${forRecipient}`, 'line 1 is not'],
    ['a newline in front', `\n${forRecipient}`, 'line 1 is not'],
    ['a newline behind', `${forRecipient}\n`, 'does not end with one newline'],
    ['no newline at the end', forRecipient.trimEnd(), 'does not end with one newline'],
    ['a text behind', `${forRecipient}note`, 'does not end with one newline'],
    ['itself behind', forRecipient + forRecipient, 'does not end with one newline'],
    ['lines that end as on Windows', forRecipient.replaceAll('\n', '\r\n'), 'it has carriage returns'],
    ['the size of a book', forRecipient.padEnd(1_000_000, '\n'), 'it has more than 1024 characters'],
    ['another version', forRecipient.replaceAll(' V1', ' V2'), 'line 1 is not'],
    ['another method', forRecipient.replace('x25519', 'x448'), 'line 5 is not "method: …"'],
    ['a KEK id that is none', withCheck(forRecipient.replace('v1', 'v_file')), 'line 2 is not "kek-id: …"'],
  ])('with %s', async (_what, text, message) => {
    await expectMalformed(text, message)
  })

  it.each([
    '2026-02-30T00:00:00Z',
    '2026-05-04T24:00:00Z',
    '2026-05-04T10:20:30+00:00',
    '2026-05-04T10:20:30.0Z',
  ])('with the time %s', async (time) => {
    await expectMalformed(
      withCheck(forRecipient.replace(/sealed-at: .*/, `sealed-at: ${time}`)),
      'line 4 is not "sealed-at: …"',
    )
  })
})

describe('parameters that would cost more than they may', () => {
  const bombs = [
    ...[0, 1, 15, 16, 20, 21, 24, 30, 31, 40, 52].map((log2) => `N=${2 ** log2} r=8 p=1`),
    'N=131071 r=8 p=1',
    'N=0131072 r=8 p=1',
    'N=-131072 r=8 p=1',
    'N=1e99 r=8 p=1',
    'N=0x20000 r=8 p=1',
    'N=131072 r=9 p=1',
    'N=131072 r=1073741823 p=1',
    'N=131072 r=8 p=2',
    'N=131072 r=8 p=1073741823',
    'N=131072 r=8 p=1 ',
    'N=131072 r=8',
    '',
  ]

  it.each(bombs)('are refused before anything is computed: %s', async (cost) => {
    const bomb = withCheck(forPassphrase.replace(/scrypt: .*/, `scrypt: ${cost}`))
    expect(() => inspectSealedKek(bomb)).toThrow('line 6 is not "scrypt: …"')
    expect(await answerOf(bomb, { passphrase: PASSPHRASE })).toBe('ERR_ESCROW_MALFORMED')
  })
})

describe('two files', { timeout: 60_000 }, () => {
  it('open with no line of the other, by the same key and for the same KEK or not', async () => {
    const other = new Uint8Array(Buffer.from(generateKek(), 'base64url'))
    const lookalikes = await Promise.all([
      sealKek({ kekId: 'v1', kek, for: pair }),
      sealKek({ kekId: 'v2', kek, for: pair }),
      sealKek({ kekId: 'v1', kek: other, for: pair }),
      sealKek({ kekId: 'v2', kek: other, for: { publicKey: generateEscrowKeyPair().publicKey } }),
    ])
    let tried = 0
    for (const lookalike of lookalikes) {
      for (const [index, line] of lookalike.split('\n').slice(1, 9).entries()) {
        const mixed = withCheck(
          forRecipient
            .split('\n')
            .with(index + 1, line)
            .join('\n'),
        )
        if (mixed === forRecipient) continue
        expect(await withKey(mixed)).toBe('ERR_ESCROW_NOT_OPENED')
        tried += 1
      }
      const body = withCheck(withBody(lookalike, bodyOf(forRecipient)))
      expect(await withKey(body)).toBe('ERR_ESCROW_NOT_OPENED')
    }
    expect(tried).toBeGreaterThanOrEqual(12)
  })
})

describe('a key that is another one', { timeout: 60_000 }, () => {
  it('opens nothing, and looks like tampering from outside', async () => {
    const flipped = withCheck(withBody(forPassphrase, flipBit(bodyOf(forPassphrase), 200)))
    const errors = await Promise.all(
      [
        openKek(forPassphrase, { passphrase: `${PASSPHRASE}.` }),
        openKek(forPassphrase, { passphrase: '' }),
        openKek(forPassphrase, opener),
        openKek(flipped, { passphrase: PASSPHRASE }),
      ].map((opening) => opening.catch((error: unknown) => error)),
    )
    const seen = errors.map((error) => ({ ...(error as Error), message: (error as Error).message }))
    expect(seen[0]).toMatchObject({
      code: 'ERR_ESCROW_NOT_OPENED',
      retryable: false,
      kekId: 'v1',
      faults: [],
    })
    for (const each of seen) expect(each).toEqual(seen[0])
    expect(await answerOf(forRecipient, generateEscrowKeyPair())).toBe('ERR_ESCROW_NOT_OPENED')
    expect(await answerOf(forRecipient, { passphrase: PASSPHRASE })).toBe('ERR_ESCROW_NOT_OPENED')
  })

  it.each([
    ['the public key', pair.publicKey, 'is no private escrow key'],
    ['a mistyped key', `${privateKey.slice(0, -1)}${privateKey.endsWith('A') ? 'B' : 'A'}`, 'its check'],
  ])('is told apart where it is none: %s', async (_what, given, fault) => {
    await expect(openKek(forRecipient, { privateKey: given })).rejects.toMatchObject({
      code: 'ERR_KEY_CONFIGURATION',
      faults: [{ variable: 'privateKey', fault: expect.stringContaining(fault) }],
    })
  })
})

describe('a file that somebody made up', () => {
  const about = ['kek-id: v1', `fingerprint: ${KNOWN.fingerprint}`, 'sealed-at: 2026-05-04T10:20:30Z']
  const secret = counting(0x80, 32)
  const recipient = publicOf(secret)
  const made = { kek: KNOWN.kekBytes, nonce: KNOWN.nonce, about }
  const by = { privateKey: `talos-escrow-private:gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp9FkQAk` }

  it('opens when it is a sealed KEK', async () => {
    const text = writeSealed({ ...made, for: { recipient, ephemeralSecret: counting(0xa0, 32) } })
    expect(await answerOf(text, by)).toBe('opened')
  })

  it('does not open with a point of low order, which takes no secret to write', async () => {
    for (const lowOrderPoint of LOW_ORDER_POINTS) {
      const text = writeSealed({ ...made, for: { recipient, lowOrderPoint } })
      expect(inspectSealedKek(text).kekId).toBe('v1')
      expect(await answerOf(text, by)).toBe('ERR_ESCROW_NOT_OPENED')
    }
  })

  it('does not open when the fingerprint is not that of the bytes in it', async () => {
    const lying = about.with(1, 'fingerprint: a4bfc5f3914ad6bd')
    const text = writeSealed({
      ...made,
      about: lying,
      for: { recipient, ephemeralSecret: counting(0xa0, 32) },
    })
    expect(await answerOf(text, by)).toBe('ERR_ESCROW_NOT_OPENED')
  })
})
