import { z } from 'zod'
import type { AdminRole } from './auth.ts'
import { PROBLEMS, type ProblemCode } from './problem.ts'
import type { Route } from './route.ts'
import { liveEvent } from './schemas/events.ts'
import { problem } from './schemas/problem.ts'

type Json = Readonly<Record<string, unknown>>

const WITH_ROLE: readonly ProblemCode[] = ['UNAUTHORIZED', 'FORBIDDEN', 'TOO_MANY_FAILURES']
const WITH_BODY: readonly ProblemCode[] = [
  'INVALID_BODY',
  'MALFORMED_JSON',
  'DUPLICATE_MEMBER',
  'FORBIDDEN_MEMBER',
  'NESTING_TOO_DEEP',
  'BODY_TIMEOUT',
  'BODY_TOO_LARGE',
  'NOT_JSON',
  'CONTENT_ENCODED',
]
const WITH_KEY: readonly ProblemCode[] = [
  'INVALID_IDEMPOTENCY_KEY',
  'IDEMPOTENCY_NOT_OFFERED',
  'IDEMPOTENCY_IN_FLIGHT',
  'IDEMPOTENT_ANSWER_NOT_KEPT',
  'IDEMPOTENCY_KEY_REUSED',
  'IDEMPOTENCY_FULL',
]
const WITH_CONDITION: readonly ProblemCode[] = ['INVALID_IF_MATCH', 'EPOCH_CHANGED']
const ALWAYS: readonly ProblemCode[] = ['INVALID_TARGET', 'INVALID_QUERY', 'INTERNAL']

const ROLES: Readonly<Record<AdminRole, string>> = {
  read: 'Read names, metadata, states, the audit trail and the live events.',
  write: 'Store and delete secrets.',
  rotate: 'Start rotations and act on them.',
  admin: 'Promote, suspend and resume KEKs.',
  retire: 'Retire a KEK for good, and look whether that is safe.',
}

/** Every problem that a route can answer. */
export function problemsOf(route: Route): readonly ProblemCode[] {
  return [
    ...new Set([
      ...ALWAYS,
      ...(route.role === null ? [] : WITH_ROLE),
      ...(route.body === undefined ? [] : WITH_BODY),
      ...(route.keyed === undefined ? [] : WITH_KEY),
      ...(route.conditional === undefined ? [] : WITH_CONDITION),
      ...route.problems,
    ]),
  ]
}

/**
 * Describes the API (OpenAPI 3.1) by the table that serves it, so that the two cannot differ.
 *
 * @param publicUrl - The mount as clients reach it; without one the document is beside what it describes.
 */
export function openApiDocument(routes: readonly Route[], publicUrl: string | undefined): Json {
  const schemas: Record<string, unknown> = {
    Problem: schemaOf(problem, 'input'),
    LiveEvent: schemaOf(liveEvent, 'input'),
  }
  const paths: Record<string, Record<string, unknown>> = {}
  const operationIds = new Set<string>()
  for (const route of routes) {
    for (const { schema } of route.answers) if (schema) schemas[schema[0]] ??= schemaOf(schema[1], 'input')
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    // Some operations have two addresses; ids of operations are unique.
    const other = path.endsWith('/') ? 'WithSlash' : 'ByPath'
    const operationId = operationIds.has(route.operation) ? `${route.operation}${other}` : route.operation
    operationIds.add(operationId)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, operationId) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Admin API of Talos Envelope',
      version: '1',
      description:
        'Rotation, life and audit of key encryption keys, and the secrets under them. No route gives out a value, an ' +
        'envelope or key bytes. Answers may get more members.',
    },
    servers: [{ url: publicUrl ?? '.', description: 'The mount.' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: `A token with roles. ${Object.entries(ROLES)
            .map(([role, may]) => `${role}: ${may}`)
            .join(' ')}`,
        },
      },
    },
  }
}

function operation(route: Route, operationId: string): Json {
  const { role, body, anonymous } = route
  const parameters = [...pathParameters(route), ...queryParameters(route), ...headerParameters(route)]
  const security = role === null ? [] : anonymous === undefined ? [{ bearer: [] }] : [{ bearer: [] }, {}]
  return {
    operationId,
    summary: route.summary,
    ...(role === null ? {} : { description: `Needs the role ${role}.`, 'x-role': role }),
    security,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !body.safeParse(undefined).success,
            content: { 'application/json': { schema: schemaOf(body, 'input') } },
          },
        }),
    responses: { ...answersOf(route), ...problemAnswers(route) },
  }
}

function answersOf(route: Route): Json {
  return Object.fromEntries(
    route.answers.map(({ status, description, schema, type }) => {
      if (schema === undefined && type === undefined) return [`${status}`, { description }]
      const content =
        schema === undefined
          ? { [`${type}`]: {} }
          : { 'application/json': { schema: { $ref: `#/components/schemas/${schema[0]}` } } }
      return [`${status}`, { description, content }]
    }),
  )
}

/** One answer per status, with the codes that come with it. */
function problemAnswers(route: Route): Json {
  const byStatus = Object.groupBy(problemsOf(route), (code) => `${PROBLEMS[code][0]}`)
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, codes = []]) => {
      const known = route.answers.find((answer) => `${answer.status}` === status)
      const schema = {
        allOf: [{ $ref: '#/components/schemas/Problem' }],
        properties: { code: { enum: codes } },
      }
      const content = { 'application/problem+json': { schema } }
      const description = codes.map((code) => `${code}: ${PROBLEMS[code][2]}`).join(' ')
      return [status, { description: known?.description ?? description, content }]
    }),
  )
}

function pathParameters({ path }: Route): readonly Json[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

function queryParameters({ query }: Route): readonly Json[] {
  if (query === undefined) return []
  const { properties = {} } = schemaOf(query, 'output') as { readonly properties?: Json }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }))
}

function headerParameters(route: Route): readonly Json[] {
  const text = { type: 'string' }
  return [
    ...(route.keyed === undefined
      ? []
      : [
          {
            name: 'Idempotency-Key',
            in: 'header',
            description: 'The same key with the same request within a day is answered as the first time.',
            schema: { ...text, minLength: 1, maxLength: 255 },
          },
        ]),
    ...(route.conditional === undefined
      ? []
      : [
          {
            name: 'If-Match',
            in: 'header',
            description: 'The epoch that the decision rests on, in quotes.',
            schema: { ...text, pattern: '^"(0|[1-9][0-9]*)"$' },
          },
        ]),
  ]
}

/** @param io - `input` for what is sent and answered, `output` for what a query says once it is read. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...described } = z.toJSONSchema(schema, { io })
  return described
}
