import { Badge, Switch, Text } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type Agent, agents, callbacks, setAvailable } from '../api/desk'
import { useText } from '../i18n/text'
import { target } from '../kit/calls'
import { LinkButton } from '../kit/links'
import { Section } from '../kit/page'
import { Failure } from '../kit/problem'
import { Empty, Loaded } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { urgency } from '../lib/decision'
import { safe } from '../lib/safe'

/** Who can be rung now, with the switch of each. */
export function Agents() {
  const { t, f } = useText()
  const queries = useQueryClient()
  const staff = useQuery({ queryKey: ['agents'], queryFn: agents, refetchInterval: 3_000 })
  const set = useMutation({
    mutationFn: (a: { target: string; available: boolean }) => setAvailable(a.target, a.available),
    onSettled: () => queries.invalidateQueries({ queryKey: ['agents'] }),
  })
  const columns: Column<Agent>[] = [
    {
      key: 'name',
      title: t('calls.agent'),
      cell: (a) => (
        <div>
          <Text fw={500} size="sm" className="name">
            {safe(a.name) || target(t, a.target)}
          </Text>
          {safe(a.name) !== '' && (
            <Text size="xs" c="dimmed">
              {target(t, a.target)}
            </Text>
          )}
        </div>
      ),
    },
    { key: 'state', title: t('live.state'), cell: (a) => <State agent={a} /> },
    { key: 'since', title: t('agents.since'), cell: (a) => f.dateTime(a.since) },
    {
      key: 'switch',
      title: t('agents.available'),
      right: true,
      cell: (a) => {
        const changing = set.isPending && set.variables.target === a.target
        return (
          <Switch
            display="inline-block"
            aria-label={t('agents.switch', { name: safe(a.name) || target(t, a.target) })}
            checked={changing ? set.variables.available : a.available}
            disabled={changing}
            onChange={(e) => set.mutate({ target: a.target, available: e.currentTarget.checked })}
          />
        )
      },
    },
  ]
  return (
    <Section title={t('agents.title')}>
      {set.isError && <Failure error={set.error} />}
      <Loaded query={staff}>
        {(list) =>
          list.length === 0 ? (
            <Empty title={t('agents.empty')} text={t('agents.emptyText')} />
          ) : (
            <DataTable label={t('agents.title')} columns={columns} rows={list} id={(a) => a.target} />
          )
        }
      </Loaded>
    </Section>
  )
}

/** Green: rings; red: in a call or does not want to; grey: cannot be reached. */
function State({ agent: a }: { agent: Agent }) {
  const { t } = useText()
  const [color, key] = !a.registered
    ? (['gray', 'agents.unreachable'] as const)
    : a.busy
      ? (['red', 'agents.busy'] as const)
      : a.available
        ? (['leaf', 'agents.ready'] as const)
        : (['red', 'agents.away'] as const)
  return (
    <Badge color={color} variant="light" tt="none" autoContrast>
      {t(key)}
    </Badge>
  )
}

/** How many callbacks wait, as a way to their page. */
export function CallbacksWaiting() {
  const { t, f } = useText()
  const waiting = useQuery({
    queryKey: ['callbacks', 'waiting'],
    queryFn: () => callbacks('live'),
    refetchInterval: 10_000,
  })
  const list = waiting.data?.callbacks
  if (!list) return null
  const late = list.filter((c) => urgency(c.due, waiting.dataUpdatedAt) === 'overdue').length
  const n = `${f.number(list.length)}${waiting.data?.next ? '+' : ''}`
  return (
    <LinkButton to="/callbacks" variant={late > 0 ? 'light' : 'default'} color={late > 0 ? 'red' : undefined}>
      {late > 0 ? t('callbacks.countLate', { n, late: f.number(late) }) : t('callbacks.count', { n })}
    </LinkButton>
  )
}
