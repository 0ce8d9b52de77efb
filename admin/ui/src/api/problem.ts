export type Detail = { location?: string; message: string; fix?: string }

type Body = { code: string; status: number; detail: string; errors?: Detail[]; wait?: number }

/** Problem is a refusal of the API (RFC 9457), or code "offline" when there was no answer. */
export class Problem extends Error {
  readonly code: string
  readonly status: number
  readonly errors: Detail[]
  /** Seconds to wait before another try; 0: none given. */
  readonly wait: number

  constructor(b: Body) {
    super(b.detail)
    this.code = b.code
    this.status = b.status
    this.errors = b.errors ?? []
    this.wait = b.wait ?? 0
  }

  static of(response: Response, body: unknown): Problem {
    const b = (typeof body === 'object' && body !== null ? body : {}) as Partial<Body>
    const wait = Number(response.headers.get('Retry-After')) || 0
    return new Problem({
      code: b.code ?? 'error',
      status: response.status,
      detail: b.detail ?? '',
      errors: b.errors ?? [],
      wait,
    })
  }
}

export function isProblem(e: unknown, code?: string): e is Problem {
  return e instanceof Problem && (code === undefined || e.code === code)
}
