import type { AdminResponse } from '../exchange.ts'

/** Makes the handler of `GET /openapi.json`. */
export function readOpenApi(document: () => Readonly<Record<string, unknown>>) {
  return async (): Promise<AdminResponse> => ({ status: 200, body: document() })
}
