import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { LiveEvent } from '../../src/schemas/index.ts'
import { TOKENS } from './served.ts'

/** A client of `GET /events`. Disposing of it ends the connection. */
export interface EventClient extends Disposable {
  readonly response: IncomingMessage
  /** Everything received, as text. */
  readonly text: () => string
  readonly events: LiveEvent[]
  /** Waits until there is an event of a kind. */
  next(isIt: (event: LiveEvent) => boolean): Promise<LiveEvent>
  /** Resolves when the server has ended the stream, or has cut it off. */
  readonly ended: Promise<'ended' | 'cut off'>
}

export async function follow(url: string, token: string = TOKENS.read): Promise<EventClient> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const asked = httpRequest(`${url}/events`, { agent: false, headers: { Authorization: `Bearer ${token}` } })
  asked.on('response', resolve).on('error', reject).end()
  const response = await promise
  response.setEncoding('utf8')
  const events: LiveEvent[] = []
  const waiting = new Set<() => void>()
  let text = ''
  let pending = ''
  response.on('data', (chunk: string) => {
    text += chunk
    const frames = (pending + chunk).split('\n\n')
    pending = frames.pop() ?? ''
    for (const frame of frames) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(frame) ?? []
      if (event !== undefined) events.push({ event, data: JSON.parse(data ?? '') } as LiveEvent)
    }
    for (const look of waiting) look()
  })
  const ended = new Promise<'ended' | 'cut off'>((done) => {
    response.on('end', () => done('ended')).on('error', () => done('cut off'))
    response.on('close', () => done('cut off'))
  })
  return {
    response,
    text: () => text,
    events,
    ended,
    next: (isIt) =>
      new Promise((found) => {
        const look = () => {
          const event = events.find(isIt)
          if (event === undefined) return
          waiting.delete(look)
          found(event)
        }
        waiting.add(look)
        look()
      }),
    [Symbol.dispose]: () => void response.destroy(),
  }
}
