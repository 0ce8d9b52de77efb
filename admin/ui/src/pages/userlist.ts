import { queryOptions } from '@tanstack/react-query'
import { api, data } from '../api/client'

export const usersQuery = queryOptions({
  queryKey: ['users'],
  queryFn: async () => (await data(api.GET('/api/v1/users'))).users,
})
