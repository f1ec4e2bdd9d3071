import { Problem } from './problem.ts'

/** What a body may be beyond being JSON. */
export interface JsonLimits {
  /** Levels of objects and arrays, the outermost counted. */
  readonly maxDepth: number
  /** Bytes of the body without the text of its top-level value members. */
  readonly maxBytesBesideValue: number
}

/** Top-level members whose text has a limit of its own. */
const VALUE_MEMBERS: ReadonlySet<string> = new Set(['value', 'value_b64u'])

/**
 * Parses JSON as strictly as RFC 8259 recommends: UTF-8 only, no member twice, and nothing that grows with the nesting.
 *
 * @throws Problem `MALFORMED_JSON`, `DUPLICATE_MEMBER`, `FORBIDDEN_MEMBER`, `NESTING_TOO_DEEP`, `BODY_TOO_LARGE`.
 */
export function parseStrictJson(bytes: Uint8Array, limits: JsonLimits): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Problem('MALFORMED_JSON')
  }
  const valueBytes = checkStructure(text, limits.maxDepth)
  if (bytes.length - valueBytes > limits.maxBytesBesideValue) throw new Problem('BODY_TOO_LARGE')
  return parse(text)
}

/** The message of a SyntaxError quotes the text: it is dropped. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem('MALFORMED_JSON')
  }
}

/**
 * Walks over the text once, before the real parser sees it, for what that one cannot tell: it keeps the last of two equal
 * members and has no limit of depth. Text that is no JSON passes or fails here; the parser has the last word on grammar.
 *
 * @returns The bytes of the text of the top-level value members, without their quotes.
 */
function checkStructure(text: string, maxDepth: number): number {
  /** The members seen of each open object; `null` for an open array. */
  const open: (Set<string> | null)[] = []
  let nameComesNext = false
  let topLevelMember = ''
  let valueBytes = 0
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        if (open.length === maxDepth) throw new Problem('NESTING_TOO_DEEP')
        nameComesNext = text[at] === '{'
        open.push(nameComesNext ? new Set() : null)
        break
      case '}':
      case ']':
        open.pop()
        nameComesNext = false
        break
      case ',':
        nameComesNext = open.at(-1) instanceof Set
        break
      case '"': {
        const end = endOfString(text, at)
        const token = text.slice(at, end)
        if (nameComesNext) {
          const name = parse(token) as string
          addMember(open.at(-1) ?? new Set(), name)
          if (open.length === 1) topLevelMember = name
          nameComesNext = false
        } else if (open.length === 1 && VALUE_MEMBERS.has(topLevelMember)) {
          valueBytes += Buffer.byteLength(token) - 2
        }
        at = end - 1
        break
      }
    }
  }
  return valueBytes
}

function addMember(members: Set<string>, name: string): void {
  if (name === '__proto__') throw new Problem('FORBIDDEN_MEMBER')
  if (members.has(name)) throw new Problem('DUPLICATE_MEMBER')
  members.add(name)
}

/** The index after the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at + 1
  }
  throw new Problem('MALFORMED_JSON')
}

/**
 * Checks what can still be checked of a body that the host has parsed: members that came twice are gone by then.
 *
 * @throws Problem `FORBIDDEN_MEMBER`, `NESTING_TOO_DEEP`, `BODY_TOO_LARGE`.
 */
export function checkParsedJson(body: unknown, limits: JsonLimits): void {
  checkLevel(body, limits.maxDepth)
  if (typeof body !== 'object' || body === null) return
  const beside = Object.entries(body).filter(
    ([name, value]) => !(VALUE_MEMBERS.has(name) && typeof value === 'string'),
  )
  if (Buffer.byteLength(JSON.stringify(beside)) > limits.maxBytesBesideValue)
    throw new Problem('BODY_TOO_LARGE')
}

function checkLevel(value: unknown, levelsLeft: number): void {
  if (typeof value !== 'object' || value === null) return
  if (levelsLeft === 0) throw new Problem('NESTING_TOO_DEEP')
  if (Object.hasOwn(value, '__proto__')) throw new Problem('FORBIDDEN_MEMBER')
  for (const member of Object.values(value)) checkLevel(member, levelsLeft - 1)
}
