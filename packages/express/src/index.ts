export type { AdminApiOptions } from './admin-api.ts'
export type {
  AdminAction,
  AdminAuth,
  AdminOperation,
  AdminRole,
  BearerAuthOptions,
  BearerPrincipal,
  NamedToken,
} from './auth.ts'
export { bearerAuth } from './auth.ts'
export type { AdminEvent, AdminEventListener } from './events.ts'
export type { AdminFetchHandler, AdminFetchOptions, FetchInfo } from './fetch-handler.ts'
export { adminFetchHandler } from './fetch-handler.ts'
export type { ProblemCode, ProblemDetails } from './problem.ts'
export { Problem } from './problem.ts'
export type { AdminRouter, AdminRouterOptions } from './router.ts'
export { adminRouter } from './router.ts'
