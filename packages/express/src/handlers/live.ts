import type { AdminResponse } from '../exchange.ts'

/** Where live events come from. */
export interface EventFeed {
  /** @throws Problem `TOO_MANY_STREAMS`. */
  open(): ReadableStream<string>
}

/** Makes the handler of `GET /events`. */
export function streamEvents(feed: EventFeed) {
  return async (): Promise<AdminResponse> => ({
    status: 200,
    // Some proxies hold back what they have not seen the end of.
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' },
    stream: feed.open(),
  })
}
