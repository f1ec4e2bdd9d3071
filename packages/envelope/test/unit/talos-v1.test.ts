import { describe, expect, it } from 'vitest'
import { openTalosV1, readTalosV1 } from '../../src/codec/open-talos-v1.ts'
import { MAX_VALUE_BYTES } from '../../src/format/envelope-v2.ts'
import { MAX_TALOS_V1_BYTES, parseTalosV1 } from '../../src/format/talos-v1.ts'
import { type ImportKey, isEnvelopeError } from '../../src/index.ts'
import { checkImportKeys } from '../../src/keyring/import-keys.ts'
import { flipBit, text } from '../sample.ts'
import {
  HEX,
  membersOf,
  OLDER,
  PUBLISHED,
  type Sample,
  WITHOUT_AAD,
  withMembers,
} from '../support/talos-v1.ts'

/** What becomes of an envelope: the value, or why it was refused. */
function outcome({
  envelope,
  kekId,
  key,
  aad,
}: Omit<Sample, 'value' | 'aad'> & Pick<ImportKey, 'aad'>): string {
  try {
    return text(openTalosV1(readTalosV1(envelope), checkImportKeys([{ kekId, key, aad }], true)))
  } catch (error) {
    if (!isEnvelopeError(error)) throw error
    return (error as { readonly reason?: string }).reason ?? error.code
  }
}

/** Counts what becomes of many. */
function tally(outcomes: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const each of outcomes) counts[each] = (counts[each] ?? 0) + 1
  return counts
}

function flips(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) => flipBit(bytes, bit))
}

function memberFlips(sample: Sample, member: string, encoding: 'base64url' | 'hex'): string[] {
  const bytes = new Uint8Array(Buffer.from(membersOf(sample.envelope)[member] ?? '', encoding))
  return flips(bytes).map((flipped) => {
    const envelope = withMembers(sample.envelope, { [member]: Buffer.from(flipped).toString(encoding) })
    return outcome({ ...sample, envelope })
  })
}

describe('an altered Talos v1 envelope', () => {
  it.each([
    ['nonce_b64u', 96],
    ['ciphertext_b64u', 200],
    ['tag_b64u', 128],
  ])('is refused for each flipped bit of %s', (member, bits) => {
    expect(tally(memberFlips(PUBLISHED, member, 'base64url'))).toEqual({ payload_corrupt: bits })
  })

  it.each([
    ['iv', 96],
    ['ciphertext', 200],
    ['tag', 128],
  ])('is refused for each flipped bit of %s in the hexadecimal shape', (member, bits) => {
    expect(tally(memberFlips(HEX, member, 'hex'))).toEqual({ payload_corrupt: bits })
  })

  it('is refused for each flipped bit of its own AAD, before anything is decrypted', () => {
    expect(tally(memberFlips(PUBLISHED, 'aad_b64u', 'base64url'))).toEqual({ aad_mismatch: 216 })
  })

  it('is refused for each flipped bit of the AAD that the caller gives, and of the key', () => {
    for (const [sample, reason] of [
      [PUBLISHED, 'aad_mismatch'],
      [WITHOUT_AAD, 'payload_corrupt'],
    ] as const) {
      const ofAad = flips(new Uint8Array(Buffer.from(sample.aad))).map((aad) => outcome({ ...sample, aad }))
      expect(tally(ofAad)).toEqual({ [reason]: 216 })
      const ofKey = flips(sample.key).map((key) => outcome({ ...sample, key }))
      expect(tally(ofKey)).toEqual({ payload_corrupt: 256 })
    }
  })

  it('opens to its value or is refused, whichever character of its text is removed, replaced or added', () => {
    const characters = [...'\0\t\n !"\'+,-./0159:=AFZ\\_abefnuz{}[]~é\u0141\ufeff', '\ud800']
    const seen: Record<string, number> = {}
    for (const sample of [PUBLISHED, HEX, OLDER]) {
      for (let at = 0; at <= sample.envelope.length; at += 1) {
        for (const character of ['', ...characters]) {
          for (const end of at < sample.envelope.length ? [at, at + 1] : [at]) {
            const envelope = sample.envelope.slice(0, at) + character + sample.envelope.slice(end)
            const became = outcome({ ...sample, envelope })
            const kind = became === sample.value ? 'value' : became
            seen[kind] = (seen[kind] ?? 0) + 1
          }
        }
      }
    }
    const known = ['value', 'malformed', 'unsupported', 'kek_unknown', 'aad_mismatch', 'payload_corrupt']
    expect(Object.keys(seen).sort()).toEqual([...known].sort())
  })
})

describe('the members of a Talos v1 envelope', () => {
  it('may come in any order and each of them once, in every combination of up to six', () => {
    const members = Object.entries(membersOf(PUBLISHED.envelope))
    const required = members.filter(([name]) => name !== 'aad_b64u').map(([name]) => name)
    let taken = 0
    const tryAll = (chosen: readonly (readonly [string, string])[]): void => {
      const json = `{${chosen.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`
      const names = chosen.map(([name]) => name)
      const legal = new Set(names).size === names.length && required.every((name) => names.includes(name))
      const parsed = parseTalosV1(json)
      if (legal) taken += 1
      if (legal === 'fault' in parsed) throw new Error(`taken wrongly: ${names.join()}`)
      if (chosen.length < 6) for (const member of members) tryAll([...chosen, member])
    }
    tryAll([])
    // Four members in 4! orders, five in 5!.
    expect(taken).toBe(24 + 120)
  })

  it.each([
    ['an array in an array', '['.repeat(MAX_TALOS_V1_BYTES)],
    ['an object in an object', '{"kek_id":'.repeat(200_000)],
    ['closed arrays', '['.repeat(1_000_000) + ']'.repeat(1_000_000)],
    ['quotes', '"'.repeat(MAX_TALOS_V1_BYTES)],
    ['backslashes', `{"kek_id":"${'\\'.repeat(1_000_000)}"}`],
  ])('are refused in a hostile text of %s', (_, hostile) => {
    expect(parseTalosV1(hostile)).toMatchObject({ fault: 'malformed' })
  })

  it('hold a value of up to 1 MiB in either shape', () => {
    for (const [sample, member, encoding] of [
      [PUBLISHED, 'ciphertext_b64u', 'base64url'],
      [HEX, 'ciphertext', 'hex'],
    ] as const) {
      const ofLength = (length: number) =>
        parseTalosV1(withMembers(sample.envelope, { [member]: Buffer.alloc(length).toString(encoding) }))
      expect(ofLength(MAX_VALUE_BYTES)).toMatchObject({ kekId: 'v1' })
      expect(ofLength(MAX_VALUE_BYTES + 1)).toMatchObject({ fault: 'too_large' })
    }
  })
})

describe('the refusal of a Talos v1 envelope', () => {
  it.each([
    ['{}', 'it has the members of one of the two shapes and no other'],
    ['[]', 'it is one JSON object of texts with no member twice'],
    [withMembers(PUBLISHED.envelope, { kek_id: '' }), 'kek_id is text of 1 to 255 characters'],
    [
      withMembers(PUBLISHED.envelope, { nonce_b64u: 'AA' }),
      'nonce_b64u is 12 bytes as base64url without padding',
    ],
    [withMembers(HEX.envelope, { tag: 'AA' }), 'tag is 16 bytes as lower-case hexadecimal digits'],
    [withMembers(HEX.envelope, { alg: 'none' }), 'alg is aes-256-gcm'],
  ])('names the rule: %s', (envelope, rule) => {
    expect(() => readTalosV1(envelope)).toThrow(`The text is not a Talos v1 envelope: ${rule}.`)
  })

  it('shows the id of an unknown key only where it has the form of a KEK id', () => {
    const idOf = (kekId: string): unknown => {
      try {
        return outcomeOfId(kekId)
      } catch (error) {
        return (error as { readonly kekId: unknown }).kekId
      }
    }
    const outcomeOfId = (kekId: string): Uint8Array =>
      openTalosV1(
        readTalosV1(withMembers(PUBLISHED.envelope, { kek_id: kekId })),
        checkImportKeys([PUBLISHED], true),
      )
    expect(['v2', 'arn:aws:kms:1', Buffer.alloc(32, 1).toString('base64url'), 'v1\0'].map(idOf)).toEqual([
      'v2',
      null,
      null,
      null,
    ])
  })

  it('is a TypeError for what is not text', () => {
    for (const other of [undefined, null, 1, {}, Buffer.from('{}')]) {
      expect(() => readTalosV1(other as never)).toThrow(TypeError)
    }
  })
})
