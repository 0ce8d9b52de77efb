import createClient from 'openapi-fetch'
import { Problem } from './problem'
import type { components, paths } from './schema.gen'

export type Schemas = components['schemas']

/** The one client. Its header is what another origin's form cannot send (admin/guard.go). */
export const api = createClient<paths>({ headers: { 'X-Deskbridge': 'panel' } })

type Answer<T> = { data?: T; error?: unknown; response: Response }

/** Unpacks an answer: its data, or a Problem is thrown. A network that fails is a Problem too. */
export async function data<T>(answer: Promise<Answer<T>>): Promise<T> {
  return (await withResponse(answer)).data
}

/** The same with the response, for its ETag. */
export async function withResponse<T>(answer: Promise<Answer<T>>): Promise<{ data: T; etag: string }> {
  let a: Answer<T>
  try {
    a = await answer
  } catch {
    throw new Problem({ code: 'offline', status: 0, detail: '' })
  }
  if (!a.response.ok) throw Problem.of(a.response, a.error)
  return { data: a.data as T, etag: a.response.headers.get('ETag') ?? '' }
}
