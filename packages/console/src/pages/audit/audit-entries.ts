import type { AuditEvent } from '../../api/types.ts'

/** A piece of work: its intent, and what came of it. */
export interface AuditEntry {
  readonly id: string
  /** The event that tells most: the outcome, or the intent while there is none. */
  readonly event: AuditEvent
  readonly outcome: 'done' | 'failed' | 'open'
  /** When it was begun, where that event is at hand. */
  readonly begunAt: string | null
}

/** Joins each outcome with its intent; events are newest first. */
export function entriesOf(events: readonly AuditEvent[]): readonly AuditEntry[] {
  const intents = new Map(events.filter(({ phase }) => phase === 'intent').map((event) => [event.id, event]))
  const settled = new Set<string>()
  const entries: AuditEntry[] = []
  for (const event of events) {
    if (event.phase === 'intent') {
      if (!settled.has(event.id)) entries.push({ id: event.id, event, outcome: 'open', begunAt: event.at })
      continue
    }
    const intentId = event.details['intentId'] ?? event.details['intent_id']
    const intent = typeof intentId === 'string' ? intents.get(intentId) : undefined
    if (intent !== undefined) settled.add(intent.id)
    entries.push({
      id: event.id,
      event: {
        ...event,
        reason: event.reason ?? intent?.reason ?? null,
        actor: event.actor ?? intent?.actor ?? null,
      },
      outcome: event.phase,
      begunAt: intent?.at ?? null,
    })
  }
  return entries
}
