import { queryOptions, useSuspenseQuery } from '@tanstack/react-query'
import { useRef } from 'react'
import { api, data, type Schemas } from '../api/client'
import { isProblem } from '../api/problem'

export type User = Schemas['User']
export type Me = Schemas['Me']

export const roles = ['agent', 'supervisor', 'super_agent', 'admin'] as const
export type Role = (typeof roles)[number]

/** Whether a role may do what needs another: each may what the ones before may. */
export function covers(role: string, needs: Role): boolean {
  return roles.indexOf(role as Role) >= roles.indexOf(needs)
}

/** Who is signed in; null: nobody. */
export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: async (): Promise<Me | null> => {
    try {
      return await data(api.GET('/api/v1/session'))
    } catch (e) {
      if (isProblem(e) && e.status === 401) return null
      throw e
    }
  },
  staleTime: 60_000,
})

export const setupQuery = queryOptions({
  queryKey: ['setup'],
  queryFn: async () => (await data(api.GET('/api/v1/setup'))).needed,
  staleTime: 0,
})

/** The user on pages that only somebody signed in sees. When the session ends it is still the last one, until the page has gone. */
export function useMe(): Me {
  const { data } = useSuspenseQuery(meQuery)
  const last = useRef(data)
  if (data) last.current = data
  if (!last.current) throw new Error('nobody is signed in')
  return last.current
}

/** Where to go after signing in: an address of this panel and of no other place. */
export function backTo(search: unknown): string | undefined {
  const s = (search as { back?: unknown } | undefined)?.back
  return typeof s === 'string' && /^\/(?![/\\])/.test(s) && !s.startsWith('/sign-in') && s.length < 2000 ? s : undefined
}
