/** An answer of the API that is no success, or none at all. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem'
  /** 0 when nothing answered. */
  readonly status: number
  /** The stable code of the problem document; `UNREACHABLE` when nothing answered. */
  readonly code: string
  /** The members of the problem document. */
  readonly members: Readonly<Record<string, unknown>>

  constructor(
    status: number,
    code: string,
    message: string,
    members: Readonly<Record<string, unknown>> = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.members = members
  }

  /** The role that a 403 asks for. */
  get requiredRole(): string | null {
    const role = this.members['required_role']
    return typeof role === 'string' ? role : null
  }

  /** Each thing that stands in the way, in words. */
  get reasons(): readonly string[] {
    const reasons = this.members['reasons']
    return Array.isArray(reasons) ? reasons.filter((reason) => typeof reason === 'string') : []
  }
}

/** Makes a problem of an answer; a proxy in front may answer with anything. */
export async function problemOf(response: Response): Promise<ApiProblem> {
  const text = await response.text().catch(() => '')
  const members = parse(text)
  const { code, detail } = members
  return new ApiProblem(
    response.status,
    typeof code === 'string' ? code : `HTTP_${response.status}`,
    typeof detail === 'string' ? detail : `The server answered ${response.status}.`,
    members,
  )
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
