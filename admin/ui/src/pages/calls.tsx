import { Badge, Button, Group, Menu, NativeSelect, Text, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import IconDownload from '@tabler/icons-react/dist/esm/icons/IconDownload.mjs'
import IconFilter from '@tabler/icons-react/dist/esm/icons/IconFilter.mjs'
import IconSearch from '@tabler/icons-react/dist/esm/icons/IconSearch.mjs'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { api, data } from '../api/client'
import { useMe } from '../app/session'
import { useText } from '../i18n/text'
import { agentName, type Call, customerName, Status } from '../kit/calls'
import { LinkAnchor, LinkButton } from '../kit/links'
import { Page } from '../kit/page'
import { Empty, Loaded } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { changed, exportURL, type Filter, groups, hiddenFilters, query, type Sort, sorts } from '../lib/filter'
import { duration, phone } from '../lib/format'
import { safe } from '../lib/safe'
import { CallFilters } from './callfilters'

const refresh = 15_000 // ms; calls that end meanwhile appear by themselves

export function CallsPage() {
  const { t } = useText()
  const { user, scope } = useMe()
  const filter = useSearch({ from: '/panel/calls' })
  const navigate = useNavigate({ from: '/calls' })
  const [open, setOpen] = useState(hiddenFilters(filter) > 0)
  const set = (change: Partial<Filter>, replace = false) =>
    void navigate({ search: (old) => changed(old, change), replace, resetScroll: false })
  const hidden = hiddenFilters(filter)
  const nothing = scope !== 'all' && user.targets.length === 0 && user.teams.length === 0
  return (
    <Page title={t('calls.title')} actions={<Export filter={filter} />}>
      {scope !== 'all' && (
        <Text size="sm" c="dimmed">
          {t(nothing ? 'calls.noTargets' : scope === 'own' ? 'calls.scope.own' : 'calls.scope.team')}
        </Text>
      )}
      <Groups filter={filter} />
      <Group align="flex-end" gap="sm">
        <Search filter={filter} set={set} />
        <NativeSelect
          label={t('calls.sort')}
          data={sorts.map((s) => ({ value: s, label: t(`calls.${s}`) }))}
          value={filter.sort ?? 'newest'}
          onChange={(e) => set({ sort: e.currentTarget.value as Sort })}
        />
        <Button
          variant={hidden > 0 ? 'light' : 'default'}
          leftSection={<IconFilter size={16} aria-hidden />}
          onClick={() => setOpen(!open)}
          aria-expanded={open}
          aria-controls="call-filters"
        >
          {hidden > 0 ? t('calls.filtersSet', { n: hidden }) : t('calls.filters')}
        </Button>
      </Group>
      <div id="call-filters" hidden={!open}>
        {open && <CallFilters filter={filter} set={set} />}
      </div>
      <List filter={filter} />
    </Page>
  )
}

type Set = (change: Partial<Filter>, replace?: boolean) => void

function Groups({ filter }: { filter: Filter }) {
  const { t, f } = useText()
  const { after: _, group: __, sort: ___, ...counted } = filter
  const counts = useQuery({
    queryKey: ['calls', 'counts', counted],
    queryFn: ({ signal }) => data(api.GET('/api/v1/calls/counts', { params: { query: query(counted) }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 0,
    refetchInterval: refresh,
  })
  const c = counts.data
  const number = (n: number) => `${f.number(n)}${c?.at_least ? '+' : ''}`
  return (
    <Group component="nav" gap={4} aria-label={t('calls.groups')}>
      {(['all', ...groups] as const).map((g) => {
        const active = (filter.group ?? 'all') === g
        return (
          <LinkButton
            key={g}
            to="/calls"
            search={changed(filter, { group: g === 'all' ? undefined : g })}
            activeOptions={{ exact: true, includeSearch: true }}
            aria-current={active ? 'true' : undefined}
            variant={active ? 'light' : 'subtle'}
            color={active ? undefined : 'gray'}
            c={active ? undefined : 'var(--mantine-color-text)'}
            px="sm"
            rightSection={
              c && (
                <Badge variant="default" className="tabular">
                  {number(g === 'all' ? c.incoming + c.outgoing + c.missed + c.canceled : c[g])}
                </Badge>
              )
            }
          >
            {t(`calls.${g}`)}
          </LinkButton>
        )
      })}
    </Group>
  )
}

/** The search follows the typing with a short delay, and the URL when it changes by other ways. */
function Search({ filter, set }: { filter: Filter; set: Set }) {
  const { t } = useText()
  const [text, setText] = useState(filter.q ?? '')
  const search = useDebouncedCallback((q: string) => set({ q: q.trim() || undefined }, true), 300)
  useEffect(() => {
    setText((typed) => (typed.trim() === (filter.q ?? '') ? typed : (filter.q ?? '')))
  }, [filter.q])
  return (
    <TextInput
      flex="1 1 16rem"
      type="search"
      label={t('calls.search')}
      placeholder={t('calls.searchHint')}
      leftSection={<IconSearch size={16} aria-hidden />}
      value={text}
      maxLength={100}
      onChange={(e) => {
        setText(e.currentTarget.value)
        search(e.currentTarget.value)
      }}
    />
  )
}

function Export({ filter }: { filter: Filter }) {
  const { t } = useText()
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} aria-hidden />}>
          {t('calls.export')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t('calls.exportText')}</Menu.Label>
        {(['csv', 'xlsx', 'json'] as const).map((format) => (
          <Menu.Item key={format} component="a" href={exportURL(filter, format)} download={`calls.${format}`}>
            {t('calls.exportAs', { format: format.toUpperCase() })}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}

function List({ filter }: { filter: Filter }) {
  const { t } = useText()
  const calls = useQuery({
    queryKey: ['calls', 'list', filter],
    queryFn: ({ signal }) =>
      data(api.GET('/api/v1/calls', { params: { query: { ...query(filter), limit: 50 } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 0,
    refetchInterval: refresh,
  })
  return (
    <Loaded query={calls}>
      {(page) => (
        <div aria-busy={calls.isPlaceholderData}>
          {page.calls.length > 0 ? <CallTable calls={page.calls} /> : <NoCalls filter={filter} more={!!page.next} />}
          <Group justify="center" py="md">
            {filter.after && (
              <LinkButton to="/calls" search={{ ...filter, after: undefined }} variant="default">
                {t('app.first')}
              </LinkButton>
            )}
            {page.next && (
              <LinkButton to="/calls" search={{ ...filter, after: page.next }} variant="default">
                {t('app.next')}
              </LinkButton>
            )}
          </Group>
        </div>
      )}
    </Loaded>
  )
}

function NoCalls({ filter, more }: { filter: Filter; more: boolean }) {
  const { t } = useText()
  const { sort: _, after: __, ...set } = filter
  if (more) return <Empty title={t('calls.emptyStep')} />
  if (Object.keys(set).length === 0) return <Empty title={t('calls.empty')} text={t('calls.emptyText')} />
  return (
    <Empty title={t('calls.emptyFilter')} text={t('calls.emptyFilterText')}>
      <LinkButton to="/calls" search={{}} variant="default">
        {t('calls.clear')}
      </LinkButton>
    </Empty>
  )
}

function CallTable({ calls }: { calls: Call[] }) {
  const { t, f } = useText()
  const columns: Column<Call>[] = [
    {
      key: 'customer',
      title: t('calls.customer'),
      cell: (c) => (
        <div>
          <LinkAnchor to="/calls/$id" params={{ id: c.id }} className="name" fw={500} size="sm">
            {customerName(t, c.customer)}
          </LinkAnchor>
          {safe(c.customer.name) !== '' && c.customer.phone && (
            <Text size="xs" c="dimmed" className="tabular">
              {phone(c.customer.phone)}
            </Text>
          )}
        </div>
      ),
    },
    { key: 'line', title: t('calls.line'), cell: (c) => safe(c.line_name) || safe(c.line) },
    { key: 'agent', title: t('calls.agent'), cell: (c) => <span className="name">{agentName(t, c)}</span> },
    { key: 'status', title: t('calls.status'), cell: (c) => <Status call={c} /> },
    {
      key: 'start',
      title: t('calls.start'),
      cell: (c) => (
        <time dateTime={c.offered_at} title={f.exact(c.offered_at)} className="tabular">
          {f.dateTime(c.offered_at)}
        </time>
      ),
    },
    {
      key: 'ring',
      title: t('calls.ring'),
      right: true,
      cell: (c) => (c.rang_at ? <Time seconds={c.ring_seconds} /> : ''),
    },
    {
      key: 'duration',
      title: t('calls.duration'),
      right: true,
      cell: (c) => (c.answered_at ? <Time seconds={c.talk_seconds} /> : ''),
    },
    {
      key: 'conversation',
      title: t('customer.view'),
      hideTitle: true,
      right: true,
      cell: (c) =>
        c.customer.id ? (
          <LinkAnchor
            to="/customers/$id"
            params={{ id: c.customer.id }}
            size="sm"
            aria-label={t('customer.viewOf', { name: customerName(t, c.customer) })}
          >
            {t('customer.view')}
          </LinkAnchor>
        ) : (
          ''
        ),
    },
  ]
  return <DataTable label={t('calls.title')} columns={columns} rows={calls} id={(c) => c.id} />
}

function Time({ seconds }: { seconds: number }) {
  return <span className="tabular">{duration(seconds)}</span>
}
