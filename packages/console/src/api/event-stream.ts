/** One event of a `text/event-stream`. */
export interface StreamEvent {
  readonly type: string
  readonly data: string
}

/** More than any event of the API has; a longer line is not the API's. */
const MOST_PENDING_CHARACTERS = 1_000_000

/**
 * Reads server-sent events. `EventSource` cannot send an `Authorization` header, and a token does not belong into an address.
 *
 * @returns Each event as it comes; ends when the stream does.
 */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = stream
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader()
  let pending = ''
  let type = 'message'
  let data: string[] = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      pending += value
      const lines = pending.split(/\r\n|\n|\r/)
      pending = lines.pop() ?? ''
      if (pending.length > MOST_PENDING_CHARACTERS) return
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { type, data: data.join('\n') }
          type = 'message'
          data = []
          continue
        }
        const colon = line.indexOf(':')
        const field = colon < 0 ? line : line.slice(0, colon)
        const text = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
        if (field === 'event') type = text
        else if (field === 'data') data.push(text)
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
