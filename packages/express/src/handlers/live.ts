import type { AdminRequest, AdminResponse } from '../exchange.ts'

/** Where live events come from. */
export interface EventFeed {
  /**
   * @param mayFollow - Asked again and again: the stream ends when it says no, or fails.
   * @throws Problem `TOO_MANY_STREAMS`.
   */
  open(mayFollow: () => Promise<boolean>): ReadableStream<string>
}

/** Makes the handler of `GET /events`. */
export function streamEvents(feed: EventFeed) {
  return async ({ mayDo }: AdminRequest): Promise<AdminResponse> => ({
    status: 200,
    // Some proxies hold back what they have not seen the end of.
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' },
    stream: feed.open(() => mayDo('streamEvents')),
  })
}
