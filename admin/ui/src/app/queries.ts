import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { isProblem } from '../api/problem'
import { meQuery } from './session'

/** Only what may succeed at a second try is tried again: no answer at all, or the server's own failure. */
function again(count: number, e: unknown): boolean {
  return count < 2 && isProblem(e) && (e.status === 0 || e.status >= 500)
}

export function newQueries(): QueryClient {
  const ended = (e: unknown) => {
    if (isProblem(e, 'not_signed_in')) queries.setQueryData(meQuery.queryKey, null)
  }
  const queries = new QueryClient({
    queryCache: new QueryCache({ onError: ended }),
    mutationCache: new MutationCache({ onError: ended }),
    defaultOptions: {
      queries: { retry: again, staleTime: 5_000, networkMode: 'always' },
      mutations: { retry: false, networkMode: 'always' },
    },
  })
  return queries
}
