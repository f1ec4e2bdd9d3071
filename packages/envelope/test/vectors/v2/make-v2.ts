import { type VectorContext, type VectorText, vectorText } from '../../../src/testing/vector-file.ts'
import { formRefusals } from './form-refusals.ts'
import { keyRefusals, PRECEDENCE } from './key-refusals.ts'
import { KEKS, KMS, openVectors, PLAIN, pairsOf, V1, V2, WRITTEN_KEKS } from './open-vectors.ts'
import { read, rewrap } from './reference.ts'

type Line = readonly [name: string, value: unknown]

/** Everything outside of ASCII is escaped: editors and tools normalise, and the difference would be gone. */
function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const full = (text: string, count: number): VectorText => ({ repeat: text, count })

/** Contexts that are misuse, each by one byte, pair or character. */
function misuse(): readonly VectorContext[] {
  const letters = (count: number): VectorContext => {
    return Array.from({ length: count }, (_, index) => [String.fromCharCode(97 + index), ''] as const)
  }
  return [
    [],
    letters(17),
    [['', 'v']],
    [[full('k', 129), '']],
    [[full('\u20ac', 43), '']],
    [['k', full('v', 4097)]],
    [['k', full('\u00e9', 2049)]],
    [
      ['a', full('v', 4096)],
      ['b', full('v', 4095)],
    ],
    [['k', 'v\0']],
    [['\0', 'v']],
    [['k', { utf16: 'd800' }]],
    [['k', { utf16: 'dc00d800' }]],
    [[{ utf16: '0061dfff' }, '']],
  ]
}

/**
 * Makes `vectors/v2.json` from nothing but the specification. The file is the truth: where the two differ, this is
 * wrong. It is printed by `node --conditions=@talos/source packages/envelope/test/vectors/v2/make-v2.ts`.
 */
export function makeV2(): string {
  const open = openVectors()
  const chains: readonly (readonly [base: string, ...targets: string[]])[] = [
    ['known', V2.id, KMS.id, V1.id],
    ['kms', V2.id, KMS.id],
  ]
  const sections: Line[] = [
    ['format', 'talos:v2'],
    ['about', 'See README.md. A released vector is never changed.'],
    ['keks', WRITTEN_KEKS],
    ['open', open],
    ['rewrap', chains.map(([base, ...targets]) => chain(base, targets))],
    ['misuse', misuse()],
    ['refuse', [...formRefusals(open), ...keyRefusals(open)]],
    ['precedence', PRECEDENCE.map(([reason, ...edits]) => ({ edits, reason }))],
  ]
  const lines = sections.map(([name, value]) => {
    return Array.isArray(value)
      ? `"${name}":[\n${value.map(json).join(',\n')}\n]`
      : `"${name}":${json(value)}`
  })
  return `{\n${lines.join(',\n')}\n}\n`
}

function chain(
  base: string,
  targets: readonly string[],
): { readonly base: string; readonly to: readonly string[] } {
  const vector = openVectors().find(({ id }) => id === base)
  if (vector === undefined) throw new Error(`There is no vector ${base}.`)
  const wraps: string[] = []
  let envelope = vectorText(vector.envelope ?? '')
  const context = pairsOf(vector.context ?? PLAIN)
  for (const target of targets) {
    const moved = rewrap(KEKS, envelope, context, target)
    if ('refused' in moved || 'refused' in read(KEKS, moved.value, context))
      throw new Error(`${base} does not move.`)
    envelope = moved.value
    wraps.push(envelope.slice(0, envelope.lastIndexOf(':')))
  }
  return { base, to: wraps }
}

if (process.argv[1] === import.meta.filename) process.stdout.write(makeV2())
