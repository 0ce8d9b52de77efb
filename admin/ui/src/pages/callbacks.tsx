import { Badge, Button, Group, Menu, SegmentedControl, Text } from '@mantine/core'
import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { type Agent, agents, type Callback, callbacks, changeCallback } from '../api/desk'
import { covers, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { customerName, target } from '../kit/calls'
import { Confirm } from '../kit/confirm'
import { useLineName } from '../kit/linename'
import { LinkAnchor } from '../kit/links'
import { Page } from '../kit/page'
import { Failure } from '../kit/problem'
import { Empty, Loading } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { urgency } from '../lib/decision'
import { safe } from '../lib/safe'
import { CallDialog } from './customermenu'

type Show = 'live' | 'all'

/** Customers who want to be called back, the most pressing first. */
export function CallbacksPage() {
  const { t } = useText()
  const queries = useQueryClient()
  const [show, setShow] = useState<Show>('live')
  const [cancelling, setCancelling] = useState<Callback>()
  const [calling, setCalling] = useState<Callback>()
  const refresh = () => void queries.invalidateQueries({ queryKey: ['callbacks'] })
  const change = useMutation({
    mutationFn: (c: { id: string; owner: string; version: number }) =>
      changeCallback(c.id, { owner: c.owner, version: c.version }),
    onSettled: refresh, // after a refusal too: somebody else was faster
  })
  return (
    <Page
      title={t('callbacks.title')}
      text={t('callbacks.text')}
      actions={
        <SegmentedControl
          aria-label={t('callbacks.show')}
          value={show}
          onChange={(v) => setShow(v as Show)}
          data={[
            { value: 'live', label: t('callbacks.live') },
            { value: 'all', label: t('callbacks.all') },
          ]}
        />
      }
    >
      {change.isError && <Failure error={change.error} />}
      <List
        show={show}
        busy={change.isPending ? change.variables.id : undefined}
        give={(c, owner) => change.mutate({ id: c.id, owner, version: c.version })}
        cancel={setCancelling}
        call={setCalling}
      />
      {cancelling && (
        <Confirm
          title={t('callbacks.cancelTitle')}
          text={t('callbacks.cancelText')}
          action={t('callbacks.cancel')}
          run={() => changeCallback(cancelling.id, { state: 'cancelled', version: cancelling.version })}
          done={refresh}
          close={() => {
            setCancelling(undefined)
            refresh()
          }}
        />
      )}
      {calling?.customer.id && (
        <CallDialog id={calling.customer.id} line={calling.line} done={refresh} close={() => setCalling(undefined)} />
      )}
    </Page>
  )
}

type Acts = {
  busy?: string
  give: (c: Callback, owner: string) => void
  cancel: (c: Callback) => void
  call: (c: Callback) => void
}

function List({ show, ...acts }: { show: Show } & Acts) {
  const { t } = useText()
  const page = useInfiniteQuery({
    queryKey: ['callbacks', show],
    queryFn: ({ pageParam }) => callbacks(show, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next,
    placeholderData: keepPreviousData,
    refetchInterval: 10_000,
    maxPages: 20,
  })
  if (page.isPending) return <Loading />
  const list = (page.data?.pages ?? []).flatMap((p) => p.callbacks ?? [])
  return (
    <>
      {page.isError && <Failure error={page.error} retry={() => void page.refetch()} />}
      {list.length > 0 ? (
        <CallbackTable list={list} {...acts} />
      ) : page.isError || page.hasNextPage ? null : (
        <Empty title={t('callbacks.empty')} text={t('callbacks.emptyText')} />
      )}
      {page.hasNextPage && (
        <Group justify="center">
          <Button variant="default" loading={page.isFetchingNextPage} onClick={() => void page.fetchNextPage()}>
            {t('callbacks.more')}
          </Button>
        </Group>
      )}
    </>
  )
}

function CallbackTable({ list, ...acts }: { list: Callback[] } & Acts) {
  const { t, f, coded } = useText()
  const staff = useQuery({ queryKey: ['agents'], queryFn: agents, staleTime: 30_000 })
  const owner = (who: string | undefined) =>
    who ? safe(staff.data?.find((a) => a.target === who)?.name) || target(t, who) : t('callbacks.nobody')
  const line = useLineName()
  const columns: Column<Callback>[] = [
    { key: 'customer', title: t('calls.customer'), cell: (c) => <Who callback={c} /> },
    { key: 'line', title: t('calls.line'), cell: (c) => line(c.line) },
    { key: 'due', title: t('callbacks.due'), cell: (c) => <Due callback={c} /> },
    { key: 'owner', title: t('callbacks.owner'), cell: (c) => <span className="name">{owner(c.owner)}</span> },
    {
      key: 'asked',
      title: t('callbacks.asked'),
      cell: (c) => (
        <div>
          <Text size="sm" className="tabular">
            {f.dateTime(c.requested_at)}
          </Text>
          <Text size="xs" c="dimmed">
            {coded('callbacks.source', c.source)}{' '}
            {c.call && (
              <LinkAnchor to="/calls/$id" params={{ id: c.call }} size="xs" underline="always">
                {t('timeline.record')}
              </LinkAnchor>
            )}
          </Text>
        </div>
      ),
    },
    {
      key: 'note',
      title: t('callbacks.note'),
      cell: (c) => (c.note ? <span className="name">{safe(c.note)}</span> : ''),
    },
    {
      key: 'actions',
      title: t('app.actions'),
      hideTitle: true,
      right: true,
      cell: (c) => (live(c) ? <Actions callback={c} staff={staff.data ?? []} {...acts} /> : ''),
    },
  ]
  return <DataTable label={t('callbacks.title')} columns={columns} rows={list} id={(c) => c.id} />
}

const live = (c: Callback) => c.state === 'open' || c.state === 'assigned'

/** Whoever may not see the customer yet has only an id: there is nothing to link to before they take it. */
const seen = (c: Callback) => !!(c.customer.name || c.customer.phone || c.customer.username || c.customer.alias)

function Who({ callback: c }: { callback: Callback }) {
  const { t } = useText()
  if (!seen(c) || !c.customer.id) return <Text size="sm">{t('callbacks.hidden')}</Text>
  return (
    <LinkAnchor to="/customers/$id" params={{ id: c.customer.id }} className="name" fw={500} size="sm">
      {customerName(t, c.customer)}
    </LinkAnchor>
  )
}

const colors = { waiting: 'gray', soon: 'orange', overdue: 'red' } as const

/** When it is due, always also in a word. Pressing grows while the page is open. */
function Due({ callback: c }: { callback: Callback }) {
  const { t, f, coded } = useText()
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const tick = setInterval(() => setNow(Date.now()), 15_000)
    return () => clearInterval(tick)
  }, [])
  const u = urgency(c.due, now)
  return (
    <div>
      <Badge
        color={live(c) ? colors[u] : 'gray'}
        variant={live(c) && u === 'overdue' ? 'filled' : 'light'}
        tt="none"
        autoContrast
      >
        {live(c) ? t(`callbacks.${u}`) : coded('callbacks.state', c.state)}
      </Badge>
      <Text size="sm" className="tabular">
        {f.dateTime(c.due)}
      </Text>
      {live(c) && c.expires && (
        <Text size="xs" c="dimmed">
          {t('callbacks.expires', { at: f.dateTime(c.expires) })}
        </Text>
      )}
    </div>
  )
}

function Actions({ callback: c, staff, busy, give, cancel, call }: { callback: Callback; staff: Agent[] } & Acts) {
  const { t } = useText()
  const { user } = useMe()
  const own = user.targets[0]
  const mine = c.owner !== undefined && user.targets.includes(c.owner)
  const name = seen(c) ? customerName(t, c.customer) : t('callbacks.hidden')
  const others = staff.filter((a) => a.target !== c.owner)
  return (
    <Group gap="xs" justify="flex-end">
      {own && !mine && (
        <Button
          size="xs"
          variant="light"
          loading={busy === c.id}
          onClick={() => give(c, own)}
          aria-label={t('callbacks.takeOf', { name })}
        >
          {t('callbacks.take')}
        </Button>
      )}
      {own && seen(c) && (
        <Button size="xs" onClick={() => call(c)} aria-label={t('callbacks.callOf', { name })}>
          {t('customer.call')}
        </Button>
      )}
      <Menu position="bottom-end">
        <Menu.Target>
          <Button size="xs" variant="default" aria-label={t('callbacks.moreOf', { name })}>
            {t('app.more')}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {covers(user.role, 'supervisor') && others.length > 0 && (
            <>
              <Menu.Label>{t('callbacks.assign')}</Menu.Label>
              {others.slice(0, 20).map((a) => (
                <Menu.Item key={a.target} onClick={() => give(c, a.target)}>
                  {safe(a.name) || target(t, a.target)}
                </Menu.Item>
              ))}
              <Menu.Divider />
            </>
          )}
          {c.owner && (mine || covers(user.role, 'supervisor')) && (
            <Menu.Item onClick={() => give(c, '')}>{t('callbacks.giveBack')}</Menu.Item>
          )}
          <Menu.Item c="red" onClick={() => cancel(c)}>
            {t('callbacks.cancel')}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </Group>
  )
}
