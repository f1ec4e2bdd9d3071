import type { SecretVault } from '@talos/envelope'
import type { z } from 'zod'
import type { AdminOperation, AdminRole } from './auth.ts'
import type { AdminRequest, AdminResponse } from './exchange.ts'
import { readHealth } from './handlers/health.ts'
import { readKekStatus } from './handlers/keks.ts'
import { readRotation, startRotation, startRotationBody } from './handlers/rotation.ts'
import {
  deleteSecretByPath,
  deleteSecretByQuery,
  listSecrets,
  putSecret,
  putSecretBody,
} from './handlers/secrets.ts'

/** One row of the API. */
export interface Route<Body = unknown> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Segments that begin with a colon are parameters. */
  readonly path: string
  readonly operation: AdminOperation
  /** `null`: open to everybody. */
  readonly role: AdminRole | null
  /** Whether a host may open it to callers without a token, who are then told counts and states only. */
  readonly anonymous?: true
  /** Absent: a body is not looked at. */
  readonly body?: z.ZodType<Body>
  /** Whether the body holds a value, which has a limit of its own. */
  readonly carriesValue?: true
  // A method, so that routes with different bodies fit into one table.
  handle(request: AdminRequest<Body>): Promise<AdminResponse>
}

/** A route whose path matches, with its parameters as they were sent. */
export interface RouteMatch {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
}

/**
 * Makes the table of routes.
 *
 * @param linkTo - Makes a path below the mount, without a slash at its start, a reference the client can follow.
 */
export function adminRoutes(vault: SecretVault, linkTo: (path: string) => string): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/rotate-all',
      operation: 'startRotation',
      role: 'rotate',
      body: startRotationBody,
      handle: startRotation(vault, linkTo),
    }),
    route({
      method: 'GET',
      path: '/rotation-status/:op_id',
      operation: 'readRotation',
      role: 'read',
      anonymous: true,
      handle: readRotation(vault),
    }),
    route({
      method: 'GET',
      path: '/kek-status',
      operation: 'readKekStatus',
      role: 'read',
      anonymous: true,
      handle: readKekStatus(vault),
    }),
    route({ method: 'GET', path: '/', operation: 'listSecrets', role: 'read', handle: listSecrets(vault) }),
    route({
      method: 'POST',
      path: '/',
      operation: 'putSecret',
      role: 'write',
      body: putSecretBody,
      carriesValue: true,
      handle: putSecret(vault),
    }),
    route({
      method: 'DELETE',
      path: '/',
      operation: 'deleteSecret',
      role: 'write',
      handle: deleteSecretByQuery(vault),
    }),
    route({
      method: 'GET',
      path: '/healthz',
      operation: 'readHealth',
      role: null,
      handle: readHealth(vault),
    }),
    route({
      method: 'DELETE',
      path: '/:name',
      operation: 'deleteSecret',
      role: 'write',
      handle: deleteSecretByPath(vault),
    }),
  ]
}

function route<Body>(row: Route<Body>): Route {
  return row as Route
}

/** Finds every route whose path matches, in the order of the table. */
export function matchRoutes(routes: readonly Route[], path: string): readonly RouteMatch[] {
  const given = path.split('/')
  return routes.flatMap((row) => {
    const params = matchSegments(row.path.split('/'), given)
    return params === null ? [] : [{ route: row, params }]
  })
}

function matchSegments(wanted: readonly string[], given: readonly string[]): Record<string, string> | null {
  if (wanted.length !== given.length) return null
  const params: Record<string, string> = {}
  for (const [index, segment] of wanted.entries()) {
    const text = given[index] ?? ''
    if (segment.startsWith(':') && text !== '') params[segment.slice(1)] = text
    else if (segment !== text) return null
  }
  return params
}

/** The methods of some routes as an `Allow` header lists them. */
export function allowedMethods(matches: readonly RouteMatch[]): string {
  const methods = matches.map(({ route: { method } }) => method)
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))].join(', ')
}
