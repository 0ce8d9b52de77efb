import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { Loading } from '../kit/states'
import { parseFilter } from '../lib/filter'
import { CallsPage } from '../pages/calls'
import { SignInPage } from '../pages/signin'
import { Broken, NotFound } from './broken'
import { backTo, covers, meQuery, type Role, setupQuery } from './session'
import { Shell } from './shell'

type Context = { queries: QueryClient }

const rootRoute = createRootRouteWithContext<Context>()({ component: Outlet, notFoundComponent: NotFound })

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  validateSearch: (s: Record<string, unknown>): { back?: string; ended?: boolean } => ({
    back: backTo(s),
    ended: s.ended === true || undefined,
  }),
  beforeLoad: async ({ context, search }) => {
    if (await context.queries.ensureQueryData(meQuery)) throw redirect({ href: search.back ?? '/calls' })
    if (await context.queries.ensureQueryData(setupQuery)) throw redirect({ to: '/setup' })
  },
  component: SignInPage,
})

const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/setup',
  beforeLoad: async ({ context }) => {
    if (!(await context.queries.fetchQuery(setupQuery))) throw redirect({ to: '/sign-in', search: {} })
  },
  component: lazyRouteComponent(() => import('../pages/setup'), 'SetupPage'),
})

/** Everything below is for somebody who is signed in. */
const panelRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'panel',
  beforeLoad: async ({ context, location }) => {
    if (await context.queries.ensureQueryData(meQuery)) return
    if (await context.queries.ensureQueryData(setupQuery)) throw redirect({ to: '/setup' })
    const back = location.href === '/' || location.href === '/calls' ? undefined : location.href
    throw redirect({ to: '/sign-in', search: { back } })
  },
  component: Shell,
})

const indexRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/calls', search: {} })
  },
})

const callsRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/calls',
  validateSearch: parseFilter,
  component: CallsPage,
})

const callRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/calls/$id',
  component: lazyRouteComponent(() => import('../pages/call'), 'CallPage'),
})

/** A page that needs a role is not there for others; the API decides by itself. */
const needs =
  (role: Role) =>
  async ({ context }: { context: Context }) => {
    const me = await context.queries.ensureQueryData(meQuery)
    if (!me || !covers(me.user.role, role)) throw redirect({ to: '/calls', search: {} })
  }

const liveRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/live',
  component: lazyRouteComponent(() => import('../pages/live'), 'LivePage'),
})
const customerRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/customers/$id',
  component: lazyRouteComponent(() => import('../pages/customer'), 'CustomerPage'),
})
const callbacksRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/callbacks',
  component: lazyRouteComponent(() => import('../pages/callbacks'), 'CallbacksPage'),
})
const linesRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/lines',
  beforeLoad: needs('supervisor'),
  component: lazyRouteComponent(() => import('../pages/lines'), 'LinesPage'),
})
const templatesRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/lines/$id/templates',
  beforeLoad: needs('supervisor'),
  component: lazyRouteComponent(() => import('../pages/templates'), 'TemplatesPage'),
})
const connectionsRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/connections',
  beforeLoad: needs('supervisor'),
  component: lazyRouteComponent(() => import('../pages/connections'), 'ConnectionsPage'),
})
const settingsRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/settings',
  beforeLoad: needs('admin'),
  component: lazyRouteComponent(() => import('../pages/settings'), 'SettingsPage'),
})
const usersRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/users',
  beforeLoad: needs('admin'),
  component: lazyRouteComponent(() => import('../pages/users'), 'UsersPage'),
})
const teamsRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/teams',
  beforeLoad: needs('supervisor'),
  component: lazyRouteComponent(() => import('../pages/teams'), 'TeamsPage'),
})
const tokensRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/tokens',
  component: lazyRouteComponent(() => import('../pages/tokens'), 'TokensPage'),
})
const auditRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/audit',
  validateSearch: (s: Record<string, unknown>): { after?: string } =>
    /^\d{1,20}$/.test(String(s.after)) ? { after: String(s.after) } : {},
  beforeLoad: needs('admin'),
  component: lazyRouteComponent(() => import('../pages/audit'), 'AuditPage'),
})
const systemRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/system',
  beforeLoad: needs('admin'),
  component: lazyRouteComponent(() => import('../pages/system'), 'SystemPage'),
})
const profileRoute = createRoute({
  getParentRoute: () => panelRoute,
  path: '/profile',
  component: lazyRouteComponent(() => import('../pages/profile'), 'ProfilePage'),
})

const tree = rootRoute.addChildren([
  signInRoute,
  setupRoute,
  panelRoute.addChildren([
    indexRoute,
    callsRoute,
    callRoute,
    liveRoute,
    customerRoute,
    callbacksRoute,
    linesRoute,
    templatesRoute,
    connectionsRoute,
    settingsRoute,
    usersRoute,
    teamsRoute,
    tokensRoute,
    auditRoute,
    systemRoute,
    profileRoute,
  ]),
])

export function newRouter(queries: QueryClient) {
  const router = createRouter({
    routeTree: tree,
    context: { queries },
    defaultPendingComponent: Loading,
    defaultErrorComponent: Broken,
    defaultNotFoundComponent: NotFound,
    defaultPreload: 'intent',
    scrollRestoration: true,
  })
  // A session that ends anywhere ends the page: to sign-in, and back to this address afterwards.
  queries.getQueryCache().subscribe((e) => {
    const here = router.state.location
    if (e.type !== 'updated' || e.query.queryKey[0] !== 'me' || e.query.state.data !== null) return
    if (here.pathname === '/sign-in' || here.pathname === '/setup') return
    void router.navigate({ to: '/sign-in', search: { back: backTo({ back: here.href }), ended: true } })
  })
  return router
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof newRouter>
  }
}
