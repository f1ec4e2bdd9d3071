import { z } from 'zod'
import { instanceList } from './fleet.ts'
import { kekStatus } from './keks.ts'
import { problem } from './problem.ts'
import { rotationOperation } from './rotations.ts'

/**
 * One event of `GET /events`, as a client has it after parsing. Each is a whole state that takes the place of the last one of
 * its kind (and, for `rotation`, of its id); a client that has just connected gets all of them.
 *
 * - `rotation`: a rotation that has changed.
 * - `keks`: what `GET /kek-status` answers.
 * - `instances`: what `GET /instances` answers; sent when more than ages has changed.
 * - `problem`: the vault could not be looked at. The next state ends it.
 */
export const liveEvent = z.discriminatedUnion('event', [
  z.object({ event: z.literal('rotation'), data: rotationOperation }),
  z.object({ event: z.literal('keks'), data: kekStatus }),
  z.object({ event: z.literal('instances'), data: instanceList }),
  z.object({ event: z.literal('problem'), data: problem }),
])

export type LiveEvent = z.infer<typeof liveEvent>
