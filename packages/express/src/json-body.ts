import { Problem } from './problem.ts'
import { checkParsedJson, type JsonLimits, parseStrictJson } from './strict-json.ts'

/** What a body may take. */
export interface BodyLimits extends JsonLimits {
  /** Bytes of the whole body, as sent. */
  readonly maxBytes: number
  /** Milliseconds from the first look until the last byte. */
  readonly timeoutMs: number
}

/** A body that nobody has looked at yet, with what its headers say. */
export interface IncomingBody {
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  /** Bytes by `Content-Length`; `null` where only the end of the body tells. */
  readonly declaredBytes: number | null
  /** What the host has made of the body before; `undefined` while it is unread. */
  alreadyParsed(): { readonly body: unknown } | undefined
  /**
   * Reads the whole body.
   *
   * @throws Problem `BODY_TOO_LARGE`, `BODY_TIMEOUT`. ClientGone when the connection ended before the body did.
   */
  collect(limits: BodyLimits): Promise<Uint8Array>
}

/** The client went away while its body was being read: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

const JSON_TYPE = /^application\/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*"?utf-8"?[ \t]*)?$/i

/**
 * Reads the JSON body of a request.
 *
 * A host that parsed the body before cannot be undone: what it left is checked as far as that goes, and `onParsed` is
 * told.
 *
 * @returns What the JSON says; `undefined` when there is no body.
 * @throws Problem when the body is refused. ClientGone when the connection ended before the body did.
 */
export async function readJsonBody(
  incoming: IncomingBody,
  limits: BodyLimits,
  onParsed: () => void,
): Promise<unknown> {
  const { declaredBytes, contentEncoding, contentType } = incoming
  if (declaredBytes === 0) return undefined
  if (contentEncoding !== undefined) {
    throw new Problem('CONTENT_ENCODED', { headers: { 'Accept-Encoding': 'identity' } })
  }
  // Some clients send the body they do not have in chunks, and then no type.
  const mayBeEmpty = declaredBytes === null && contentType === undefined
  if (!mayBeEmpty && !isJson(contentType)) throw notJson()
  if ((declaredBytes ?? 0) > limits.maxBytes) throw new Problem('BODY_TOO_LARGE')
  const parsed = incoming.alreadyParsed()
  if (parsed !== undefined) {
    onParsed()
    return parsedBody(parsed.body, limits)
  }
  const bytes = await incoming.collect(limits)
  if (bytes.length === 0) return undefined
  if (!isJson(contentType)) throw notJson()
  return parseStrictJson(bytes, limits)
}

function isJson(type: string | undefined): boolean {
  return type !== undefined && JSON_TYPE.test(type)
}

function notJson(): Problem {
  return new Problem('NOT_JSON', { headers: { Accept: 'application/json' } })
}

function parsedBody(body: unknown, limits: BodyLimits): unknown {
  if (body === undefined)
    throw new Error('The host read the body before the admin router and left no req.body.')
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  if (bytes instanceof Uint8Array) return parseStrictJson(bytes, limits)
  checkParsedJson(body, limits)
  return body
}
