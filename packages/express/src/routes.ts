import type { SecretVault } from '@talos/envelope'
import { z } from 'zod'
import { listAudit } from './handlers/audit.ts'
import { type ConsoleFiles, readConsole, readConsoleFile, redirectToConsole } from './handlers/console.ts'
import { listInstances } from './handlers/fleet.ts'
import { readHealth } from './handlers/health.ts'
import { checkRetirement, promoteKek, resumeKek, retireKek, suspendKek } from './handlers/kek-commands.ts'
import { readKekStatus } from './handlers/keks.ts'
import { type EventFeed, streamEvents } from './handlers/live.ts'
import { readOpenApi } from './handlers/openapi.ts'
import { type LinkTo, listRotations, readRotation, startRotation } from './handlers/rotation.ts'
import { changeRotation } from './handlers/rotation-commands.ts'
import { deleteSecretByPath, deleteSecretByQuery, listSecrets, putSecret } from './handlers/secrets.ts'
import { readSession } from './handlers/session.ts'
import type { ProblemCode } from './problem.ts'
import type { Route } from './route.ts'
import { auditList, auditQuery } from './schemas/audit.ts'
import { health, instanceList, session } from './schemas/fleet.ts'
import {
  kekChanged,
  kekCommandBody,
  kekCounts,
  kekStatus,
  promoteKekBody,
  retireKekBody,
  retirementQuery,
} from './schemas/keks.ts'
import { retirementCertificate } from './schemas/retirement.ts'
import {
  rotationAccepted,
  rotationActionAccepted,
  rotationActionBody,
  rotationDetails,
  rotationList,
  rotationListQuery,
  rotationProgress,
  startRotationBody,
} from './schemas/rotations.ts'
import {
  deleteSecretQuery,
  putSecretBody,
  secretDeleted,
  secretList,
  secretListQuery,
  secretStored,
} from './schemas/secrets.ts'

/** What the handlers of the table are made with. */
export interface RouteSurroundings {
  readonly vault: SecretVault
  readonly linkTo: LinkTo
  readonly feed: EventFeed
  /** Makes the OpenAPI document of the table that is given to it. */
  readonly describe: (routes: readonly Route[]) => Readonly<Record<string, unknown>>
  /** Absent: no console is served. */
  readonly console?: ConsoleFiles
}

/** What any look at the vault may meet. */
const STORE: readonly ProblemCode[] = [
  'STORE_UNAVAILABLE',
  'STORE_OUTCOME_UNKNOWN',
  'STORE_NOT_MIGRATED',
  'KEYRING_DOCUMENT',
  'VAULT_CLOSED',
]
const ROTATION_ACTION: readonly ProblemCode[] = [...STORE, 'ROTATION_NOT_FOUND', 'ROTATION_STATE']
const KEK_ACTION: readonly ProblemCode[] = [
  ...STORE,
  'KEK_NOT_FOUND',
  'TRANSITION_REFUSED',
  'EPOCH_CHANGED',
  'KEYRING_STATE_LOST',
  'AUDIT_UNAVAILABLE',
]

/** Makes the table of routes. */
export function adminRoutes(surroundings: RouteSurroundings): readonly Route[] {
  const { vault, linkTo, feed, describe, console } = surroundings
  const routes: readonly Route[] = [
    route({
      method: 'POST',
      path: '/rotate-all',
      operation: 'startRotation',
      role: 'rotate',
      summary: 'Starts re-wrapping every secret that is not under the target KEK.',
      body: startRotationBody,
      keyed: true,
      answers: [{ status: 202, description: 'Begun.', schema: ['RotationAccepted', rotationAccepted] }],
      problems: [
        ...STORE,
        'ROTATION_ALREADY_RUNNING',
        'PROMOTION_BLOCKED',
        'KEK_COMPROMISED',
        'KEYRING_STATE_LOST',
        'KEK_UNAVAILABLE',
        'KEY_PROVIDER_UNAVAILABLE',
      ],
      handle: startRotation(vault, linkTo),
    }),
    route({
      method: 'GET',
      path: '/rotation-status/:op_id',
      operation: 'readRotation',
      role: 'read',
      summary: 'Tells how far a rotation is, and what it could not re-wrap.',
      anonymous: true,
      answers: [
        {
          status: 200,
          description: 'The rotation; counts and states only for a caller without a token.',
          schema: ['RotationDetails', z.union([rotationDetails, rotationProgress])],
        },
      ],
      problems: [...STORE, 'ROTATION_NOT_FOUND'],
      handle: readRotation(vault),
    }),
    route({
      method: 'GET',
      path: '/kek-status',
      operation: 'readKekStatus',
      role: 'read',
      summary: 'Tells the current KEK, what waits to become current, records per older KEK, readiness.',
      anonymous: true,
      answers: [
        {
          status: 200,
          description: 'The KEKs; counts and states only for a caller without a token.',
          schema: ['KekStatus', z.union([kekStatus, kekCounts])],
        },
      ],
      problems: STORE,
      handle: readKekStatus(vault),
    }),
    route({
      method: 'GET',
      path: '/',
      operation: 'listSecrets',
      role: 'read',
      summary: 'Lists names and metadata, page by page.',
      query: secretListQuery,
      answers: [{ status: 200, description: 'One page.', schema: ['SecretList', secretList] }],
      problems: [...STORE, 'INVALID_CURSOR'],
      handle: listSecrets(vault),
    }),
    route({
      method: 'POST',
      path: '/',
      operation: 'putSecret',
      role: 'write',
      summary: 'Creates or replaces a secret.',
      body: putSecretBody,
      carriesValue: true,
      answers: [{ status: 201, description: 'Stored.', schema: ['SecretStored', secretStored] }],
      problems: [
        ...STORE,
        'VALUE_TOO_LARGE',
        'SECRET_CHANGED',
        'RECORD_DAMAGED',
        'CONTEXT_REQUIRED',
        'KEYRING_STATE_LOST',
        'KEK_UNAVAILABLE',
        'KEY_PROVIDER_UNAVAILABLE',
        'AUDIT_UNAVAILABLE',
      ],
      handle: putSecret(vault),
    }),
    route({
      method: 'DELETE',
      path: '/',
      operation: 'deleteSecret',
      role: 'write',
      summary: 'Deletes the secret that the query names.',
      query: deleteSecretQuery,
      answers: [{ status: 200, description: 'Deleted.', schema: ['SecretDeleted', secretDeleted] }],
      problems: [...STORE, 'INVALID_NAME', 'SECRET_NOT_FOUND', 'SECRET_CHANGED', 'AUDIT_UNAVAILABLE'],
      handle: deleteSecretByQuery(vault),
    }),
    route({
      method: 'GET',
      path: '/rotations',
      operation: 'listRotations',
      role: 'read',
      summary: 'Lists rotations, newest first.',
      query: rotationListQuery,
      answers: [{ status: 200, description: 'The newest.', schema: ['RotationList', rotationList] }],
      problems: STORE,
      handle: listRotations(vault),
    }),
    rotationAction('pause', 'pauseRotation', 'Pauses a rotation.', changeRotation(vault, 'pause', linkTo)),
    rotationAction(
      'resume',
      'resumeRotation',
      'Goes on with a paused rotation.',
      changeRotation(vault, 'resume', linkTo),
    ),
    rotationAction('cancel', 'cancelRotation', 'Ends a rotation.', changeRotation(vault, 'cancel', linkTo)),
    rotationAction(
      'retry-failed',
      'retryRotation',
      'Tries the secrets once more that could not be re-wrapped.',
      changeRotation(vault, 'retryFailed', linkTo),
    ),
    route({
      method: 'POST',
      path: '/keks/:id/promote',
      operation: 'promoteKek',
      role: 'admin',
      summary: 'Makes a KEK current.',
      body: promoteKekBody,
      keyed: true,
      conditional: true,
      answers: [{ status: 200, description: 'Current.', schema: ['KekChanged', kekChanged] }],
      problems: [...KEK_ACTION, 'PROMOTION_BLOCKED', 'KEK_COMPROMISED'],
      handle: promoteKek(vault),
    }),
    route({
      method: 'POST',
      path: '/keks/:id/suspend',
      operation: 'suspendKek',
      role: 'admin',
      summary: 'Makes every instance refuse to open what is under a KEK: the rehearsal of its removal.',
      body: kekCommandBody,
      keyed: true,
      conditional: true,
      answers: [{ status: 200, description: 'Suspended.', schema: ['KekChanged', kekChanged] }],
      problems: KEK_ACTION,
      handle: suspendKek(vault),
    }),
    route({
      method: 'POST',
      path: '/keks/:id/resume',
      operation: 'resumeKek',
      role: 'admin',
      summary: 'Ends a suspension.',
      body: kekCommandBody,
      keyed: true,
      conditional: true,
      answers: [{ status: 200, description: 'Decrypt-only again.', schema: ['KekChanged', kekChanged] }],
      problems: KEK_ACTION,
      handle: resumeKek(vault),
    }),
    route({
      method: 'POST',
      path: '/keks/:id/retire',
      operation: 'retireKek',
      role: 'retire',
      summary: 'Retires a KEK for good, if the retirement gate says that it is safe.',
      body: retireKekBody,
      keyed: true,
      conditional: true,
      answers: [
        {
          status: 200,
          description: 'Retired; the certificate that it rests on.',
          schema: ['RetirementCertificate', retirementCertificate],
        },
      ],
      problems: [...KEK_ACTION, 'NOT_SAFE_TO_RETIRE'],
      handle: retireKek(vault),
    }),
    route({
      method: 'GET',
      path: '/keks/:id/retirement',
      operation: 'checkRetirement',
      role: 'retire',
      summary: 'Tells whether a KEK can be removed for good. Counts every record; changes nothing.',
      query: retirementQuery,
      answers: [
        {
          status: 200,
          description: 'The verdict, every reason against it, and the evidence.',
          schema: ['RetirementCertificate', retirementCertificate],
        },
      ],
      problems: [...STORE, 'KEK_NOT_FOUND', 'TRANSITION_REFUSED', 'KEYRING_STATE_LOST'],
      handle: checkRetirement(vault),
    }),
    route({
      method: 'GET',
      path: '/instances',
      operation: 'listInstances',
      role: 'read',
      summary: 'Lists the instances and the KEKs that each of them holds.',
      answers: [{ status: 200, description: 'The fleet.', schema: ['InstanceList', instanceList] }],
      problems: STORE,
      handle: listInstances(vault),
    }),
    route({
      method: 'GET',
      path: '/audit',
      operation: 'listAudit',
      role: 'read',
      summary: 'Lists the audit trail, newest first, page by page.',
      query: auditQuery,
      answers: [{ status: 200, description: 'One page.', schema: ['AuditList', auditList] }],
      problems: [...STORE, 'INVALID_CURSOR', 'AUDIT_ELSEWHERE'],
      handle: listAudit(vault),
    }),
    route({
      method: 'GET',
      path: '/events',
      operation: 'streamEvents',
      role: 'read',
      summary: 'Tells of rotations, KEKs and instances as they change, as server-sent events.',
      answers: [
        {
          status: 200,
          description: 'Events `rotation`, `keks`, `instances` and `problem`: each a whole state, as JSON.',
          type: 'text/event-stream',
        },
      ],
      problems: ['TOO_MANY_STREAMS', 'VAULT_CLOSED'],
      handle: streamEvents(feed),
    }),
    route({
      method: 'GET',
      path: '/session',
      operation: 'readSession',
      role: 'read',
      summary: 'Tells who is asking and what they may do.',
      answers: [{ status: 200, description: 'The caller.', schema: ['Session', session] }],
      problems: [],
      handle: readSession(() => routes),
    }),
    route({
      method: 'GET',
      path: '/openapi.json',
      operation: 'readOpenApi',
      role: 'read',
      summary: 'This document.',
      answers: [{ status: 200, description: 'OpenAPI 3.1.', type: 'application/json' }],
      problems: [],
      handle: readOpenApi(() => describe(routes)),
    }),
    route({
      method: 'GET',
      path: '/healthz',
      operation: 'readHealth',
      role: null,
      summary: 'Tells whether this instance can serve every record, by its last look at the store.',
      answers: [
        { status: 200, description: 'Ready.', schema: ['Health', health] },
        { status: 503, description: 'Not ready.', schema: ['Health', health] },
      ],
      problems: [],
      handle: readHealth(vault),
    }),
    ...(console === undefined ? [] : consoleRoutes(console)),
    route({
      method: 'DELETE',
      path: '/:name',
      operation: 'deleteSecret',
      role: 'write',
      summary: 'Deletes a secret.',
      answers: [{ status: 200, description: 'Deleted.', schema: ['SecretDeleted', secretDeleted] }],
      problems: [...STORE, 'INVALID_NAME', 'SECRET_NOT_FOUND', 'SECRET_CHANGED', 'AUDIT_UNAVAILABLE'],
      handle: deleteSecretByPath(vault),
    }),
  ]
  return routes
}

function rotationAction(
  verb: string,
  operation: Route['operation'],
  summary: string,
  handle: ReturnType<typeof changeRotation>,
): Route {
  const description = 'Done; the rotation follows as soon as whoever works on it has seen it.'
  return route({
    method: 'POST',
    path: `/rotations/:op_id/${verb}`,
    operation,
    role: 'rotate',
    summary,
    body: rotationActionBody,
    keyed: true,
    answers: [{ status: 202, description, schema: ['RotationActionAccepted', rotationActionAccepted] }],
    problems: ROTATION_ACTION,
    handle,
  })
}

function consoleRoutes(files: ConsoleFiles): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/console',
      operation: 'readConsole',
      role: null,
      summary: 'The web console.',
      answers: [{ status: 200, description: 'A page.', type: 'text/html' }],
      problems: ['CONSOLE_NOT_BUILT'],
      handle: readConsole(files),
    }),
    route({
      method: 'GET',
      path: '/console/',
      operation: 'readConsole',
      role: null,
      summary: 'Leads to the web console, whose address has no slash at its end.',
      answers: [{ status: 308, description: 'It is at `../console`.' }],
      problems: [],
      handle: redirectToConsole(),
    }),
    route({
      method: 'GET',
      path: '/console/:file',
      operation: 'readConsoleFile',
      role: null,
      summary: 'A file that the web console is made of.',
      answers: [{ status: 200, description: 'A script, a style or a picture.', type: '*/*' }],
      problems: ['CONSOLE_NOT_BUILT', 'CONSOLE_FILE_NOT_FOUND'],
      handle: readConsoleFile(files),
    }),
  ]
}

function route<Body, Query>(row: Route<Body, Query>): Route {
  return row as Route
}
