import { type EncodedContext, encodeContext } from '../format/context.ts'
import { askSource, brokenContract } from '../lifecycle/retirement/ask-source.ts'
import type {
  RotatableSource,
  SourceEnvelope,
  SourceOutcome,
} from '../lifecycle/retirement/declared-source.ts'
import type { Runtime } from '../runtime.ts'
import { STORE_LIMITS } from '../store/limits.ts'
import type { Page } from '../store/secret-store.ts'
import type { RewrapItem, RewrapTarget } from './rewrap-target.ts'

/** The most bytes of a cursor: the operation keeps it. */
const MOST_CURSOR_BYTES = 2_048
const WRAP = /^talos:v2:[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9_-]+$/
const OUTCOMES: ReadonlySet<unknown> = new Set<SourceOutcome>(['done', 'already', 'changed', 'missing'])

/**
 * Lets a rotation work on a declared source. What the source answers is checked: nothing else stands between its author and
 * the engine. It knows no guard: a wrap text that a late worker writes finds another one than expected.
 *
 * Both methods throw `SourceError`: `ERR_SOURCE_FAILED`, retryable unless the source threw an error of this library that is
 * not; `ERR_SOURCE_CONTRACT` for an answer of the wrong form, which names the rule and never what was answered.
 *
 * @param source - Checked by {@link checkDeclaredSource}.
 */
export function sourceTarget(source: RotatableSource, runtime: Runtime): RewrapTarget {
  const { name } = source
  return {
    source: name,
    async scan({ cursor, limit, exceptKekId }, options) {
      const query = { cursor, limit, exceptKekId }
      const page = await askSource(runtime, name, (each) => source.scan(query, each), options)
      const { items, next } = checkPage(name, page, query)
      return { items: items.map((envelope) => itemOf(name, envelope)), next }
    },
    async write(_guard, rewraps, _at, options) {
      const changes = rewraps.map(({ item, wrap }) => ({ id: item.name, expectedWrap: item.wrap, wrap }))
      const outcomes = await askSource(runtime, name, (each) => source.rewrap(changes, each), options)
      const isAnswer =
        Array.isArray(outcomes) &&
        outcomes.length === changes.length &&
        outcomes.every((outcome) => OUTCOMES.has(outcome))
      if (isAnswer) return outcomes
      throw brokenContract(
        name,
        "rewrap answers one outcome for each change, 'done', 'already', 'changed' or 'missing'",
      )
    },
  }
}

function checkPage(
  source: string,
  page: Page<SourceEnvelope> | null | undefined,
  query: { readonly cursor: string | null; readonly limit: number },
): Page<SourceEnvelope> {
  const { items, next } = page ?? {}
  if (!Array.isArray(items)) throw brokenContract(source, 'a page has an array items')
  if (items.length > query.limit) throw brokenContract(source, 'a page has at most limit items')
  if (next === null) return { items, next }
  if (typeof next !== 'string' || next === '' || Buffer.byteLength(next) > MOST_CURSOR_BYTES) {
    throw brokenContract(source, `next is null or a text of 1 to ${MOST_CURSOR_BYTES} bytes`)
  }
  // It would be asked for the same page for ever.
  if (next === query.cursor) throw brokenContract(source, 'next is another cursor than the one it was given')
  return { items, next }
}

function itemOf(source: string, envelope: SourceEnvelope): RewrapItem {
  const { id, wrap, context } = envelope ?? {}
  if (!isId(id)) {
    throw brokenContract(
      source,
      `an id is 1 to ${STORE_LIMITS.nameBytes} bytes of well-formed UTF-8 without U+0000`,
    )
  }
  if (wrap !== null && !isWrap(wrap)) {
    throw brokenContract(
      source,
      'a wrap is talos:v2:<kek_id>:<wrap>, without the sealed part, or null for what is no envelope',
    )
  }
  // The empty text is no envelope either, and is refused as such.
  return { name: id, wrap: wrap ?? '', context: contextOf(source, context), meta: null }
}

function isId(id: unknown): id is string {
  return (
    typeof id === 'string' &&
    id !== '' &&
    Buffer.byteLength(id) <= STORE_LIMITS.nameBytes &&
    id.isWellFormed() &&
    !id.includes('\0')
  )
}

function isWrap(wrap: unknown): boolean {
  return typeof wrap === 'string' && wrap.length <= STORE_LIMITS.wrapCharacters && WRAP.test(wrap)
}

/** Pairs that are no texts are a mistake of the source's author; texts that break a rule are the damage of one row. */
function contextOf(source: string, context: SourceEnvelope['context']): EncodedContext | null {
  if (context === null) return null
  const areTexts =
    typeof context === 'object' && Object.values(context).every((value) => typeof value === 'string')
  if (!areTexts)
    throw brokenContract(source, 'a context is an object of texts, or null where it cannot be told')
  try {
    return encodeContext(context)
  } catch {
    return null
  }
}
