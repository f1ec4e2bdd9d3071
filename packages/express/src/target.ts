import { Problem } from './problem.ts'

/** A request target, split but not decoded. */
export interface Target {
  /** Begins with a slash. */
  readonly path: string
  /** Without the question mark; empty when there is none. */
  readonly query: string
}

const ORIGIN_OF_ABSOLUTE_FORM = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i

/** Splits the target of a request, also one in absolute form, which clients send to proxies. */
export function splitTarget(url: string): Target {
  const local = url.replace(ORIGIN_OF_ABSOLUTE_FORM, '')
  const mark = local.indexOf('?')
  const path = mark === -1 ? local : local.slice(0, mark)
  return { path: path === '' ? '/' : path, query: mark === -1 ? '' : local.slice(mark + 1) }
}

/**
 * Decodes one segment of a path.
 *
 * @throws Problem `INVALID_TARGET` when it is not percent-encoded UTF-8.
 */
export function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new Problem('INVALID_TARGET')
  }
}

/**
 * Decodes a query. Unlike `URLSearchParams` it never puts U+FFFD in the place of bytes it cannot decode: a name that a
 * client did not ask for must not be deleted.
 *
 * @throws Problem `INVALID_TARGET` when it is not percent-encoded UTF-8, `INVALID_QUERY` when a parameter comes twice.
 */
export function parseQuery(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const part of query.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const [name, value] = equals === -1 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
    const decodedName = decodeSegment(name.replaceAll('+', ' '))
    if (parameters.has(decodedName)) throw new Problem('INVALID_QUERY')
    parameters.set(decodedName, decodeSegment(value.replaceAll('+', ' ')))
  }
  return parameters
}
