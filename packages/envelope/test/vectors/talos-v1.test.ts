import { statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openTalosV1, readTalosV1 } from '../../src/codec/open-talos-v1.ts'
import { MAX_TALOS_V1_BYTES } from '../../src/format/talos-v1.ts'
import { isEnvelopeError } from '../../src/index.ts'
import { checkImportKeys } from '../../src/keyring/import-keys.ts'
import vectors from '../../vectors/talos-v1.json' with { type: 'json' }
import more from './talos-v1-refusals.json' with { type: 'json' }

/** A text, or one that is written short. */
type Long = string | { readonly before?: string; readonly repeat: string; readonly count: number }

interface Given {
  readonly kek_id: Long
  readonly key_b64u: string
  readonly aad_utf8: string
}

interface Opening {
  readonly id: string
  readonly title: string
  readonly envelope: string
  readonly replace?: readonly [string, Long]
  readonly given: Given
  readonly value_b64u: string
}

interface Refusal {
  readonly title: string
  readonly base?: string
  readonly edit: {
    readonly text?: string
    readonly replace?: readonly [string, Long]
    readonly given?: Partial<Given>
  }
  readonly given?: Given
  readonly reason: string
}

const openings = vectors.open as unknown as readonly Opening[]
const refusals = [...vectors.refuse, ...more.refuse] as unknown as readonly Refusal[]

function whole(text: Long): string {
  return typeof text === 'string' ? text : (text.before ?? '') + text.repeat.repeat(text.count)
}

function replaced(text: string, [from, to]: readonly [string, Long] = ['', '']): string {
  expect(text.includes(from)).toBe(true)
  return text.replace(from, () => whole(to))
}

function open(envelope: string, { kek_id, key_b64u, aad_utf8 }: Given): Uint8Array {
  const key = new Uint8Array(Buffer.from(key_b64u, 'base64url'))
  return openTalosV1(
    readTalosV1(envelope),
    checkImportKeys([{ kekId: whole(kek_id), key, aad: aad_utf8 }], true),
  )
}

function refused({ base, edit, given }: Refusal): unknown {
  const opening = openings.find(({ id }) => id === base) ?? (openings[0] as Opening)
  const envelope = edit.text ?? replaced(opening.envelope, edit.replace)
  try {
    open(envelope, { ...(given ?? opening.given), ...edit.given })
  } catch (error) {
    return error
  }
  throw new Error('This was expected to be refused.')
}

describe('the vectors of Talos v1', () => {
  it.each(openings)('open: $title', ({ envelope, replace, given, value_b64u }) => {
    const value = open(replaced(envelope, replace), given)
    expect(Buffer.from(value).toString('base64url')).toBe(value_b64u)
  })

  it.each(refusals)('are refused: $title', (refusal) => {
    const { reason } = refusal
    const byForm = ['too_large', 'unsupported', 'malformed'].includes(reason)
    const error = refused(refusal)
    expect(isEnvelopeError(error)).toBe(true)
    expect(error).toMatchObject({ code: byForm ? 'ERR_ENVELOPE_MALFORMED' : 'ERR_DECRYPT_FAILED', reason })
  })

  it('name each refusal once, and a base that exists', () => {
    const titles = refusals.map(({ title }) => title)
    expect(new Set(titles).size).toBe(titles.length)
    const ids = new Set(openings.map(({ id }) => id))
    expect(refusals.filter(({ base }) => base !== undefined && !ids.has(base))).toEqual([])
  })

  it('hold the longest text: one byte less than the one that is too large', () => {
    const [{ envelope = '', given }] = openings as readonly [Opening]
    const longest = envelope.replace('{', `{${' '.repeat(MAX_TALOS_V1_BYTES - envelope.length)}`)
    expect(Buffer.byteLength(longest)).toBe(MAX_TALOS_V1_BYTES)
    expect(Buffer.from(open(longest, given)).toString()).toBe('talos-secret-testing-2026')
  })

  it('stay small enough to be read by people', () => {
    expect(statSync(new URL('../../vectors/talos-v1.json', import.meta.url)).size).toBeLessThan(40_960)
  })
})
