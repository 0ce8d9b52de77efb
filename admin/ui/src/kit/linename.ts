import { useQuery } from '@tanstack/react-query'
import { api, data } from '../api/client'
import { safe } from '../lib/safe'

/** Lines by their names, as the directory has them; a line it does not have by its ID. */
export function useLineName(): (line: string | undefined) => string {
  const { data: names } = useQuery({
    queryKey: ['directory'],
    queryFn: () => data(api.GET('/api/v1/directory')),
    staleTime: 60_000,
  })
  return (line) => safe(names?.lines.find((l) => l.id === line)?.name) || safe(line)
}
