import { Button, Group, MultiSelect, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, data, type Schemas } from '../api/client'
import { covers, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { Dialog } from '../kit/dialog'
import { Page } from '../kit/page'
import { Failure } from '../kit/problem'
import { Empty, Loaded } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { safe } from '../lib/safe'
import { usersQuery } from './userlist'

type Team = Schemas['Team']

/** Teams and who is in them: a supervisor's own to read, all of them for an admin to change. */
export function TeamsPage() {
  const { t } = useText()
  const { user } = useMe()
  const queries = useQueryClient()
  const admin = covers(user.role, 'admin')
  const teams = useQuery({ queryKey: ['teams'], queryFn: async () => (await data(api.GET('/api/v1/teams'))).teams })
  const [editing, setEditing] = useState<Team | 'new'>()
  const [deleting, setDeleting] = useState<Team>()
  const refresh = () => {
    void queries.invalidateQueries({ queryKey: ['teams'] })
    void queries.invalidateQueries({ queryKey: ['users'] })
    void queries.invalidateQueries({ queryKey: ['directory'] })
  }
  const columns: Column<Team>[] = [
    {
      key: 'name',
      title: t('teams.name'),
      cell: (x) => (
        <Text fw={500} size="sm" className="name">
          {safe(x.name)}
        </Text>
      ),
    },
    {
      key: 'members',
      title: t('teams.members'),
      cell: (x) => <span className="name">{x.members.map((m) => safe(m.name)).join(', ')}</span>,
    },
  ]
  if (admin) {
    columns.push({
      key: 'actions',
      title: t('app.actions'),
      hideTitle: true,
      right: true,
      cell: (x) => (
        <Group gap="xs" justify="flex-end">
          <Button
            size="xs"
            variant="default"
            aria-label={t('teams.edit', { name: safe(x.name) })}
            onClick={() => setEditing(x)}
          >
            {t('users.edit')}
          </Button>
          <Button
            size="xs"
            variant="light"
            color="red"
            aria-label={t('teams.delete', { name: safe(x.name) })}
            onClick={() => setDeleting(x)}
          >
            {t('users.delete')}
          </Button>
        </Group>
      ),
    })
  }
  return (
    <Page
      title={t('teams.title')}
      text={t('teams.text')}
      actions={admin && <Button onClick={() => setEditing('new')}>{t('teams.add')}</Button>}
    >
      <Loaded query={teams}>
        {(list) =>
          list.length === 0 ? (
            <Empty title={t('teams.empty')} text={t('teams.emptyText')} />
          ) : (
            <DataTable label={t('teams.title')} columns={columns} rows={list} id={(x) => x.name} />
          )
        }
      </Loaded>
      {editing && (
        <TeamForm team={editing === 'new' ? undefined : editing} done={refresh} close={() => setEditing(undefined)} />
      )}
      {deleting && (
        <Confirm
          title={t('teams.deleteTitle', { name: safe(deleting.name) })}
          text={t('teams.deleteText')}
          action={t('users.delete')}
          run={() => data(api.DELETE('/api/v1/teams/{name}', { params: { path: { name: deleting.name } } }))}
          done={refresh}
          close={() => setDeleting(undefined)}
        />
      )}
    </Page>
  )
}

function TeamForm({ team, done, close }: { team?: Team; done: () => void; close: () => void }) {
  const { t } = useText()
  const users = useQuery(usersQuery)
  const [name, setName] = useState(team?.name ?? '')
  const [members, setMembers] = useState(team?.members.map((m) => m.id) ?? [])
  const [tried, setTried] = useState(false)
  const save = useMutation({
    mutationFn: () =>
      data(api.PUT('/api/v1/teams/{name}', { params: { path: { name: name.trim() } }, body: { members } })),
    onSuccess: () => {
      done()
      close()
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (name.trim() !== '' && members.length > 0) save.mutate()
  }
  return (
    <Dialog title={team ? t('teams.edit', { name: safe(team.name) }) : t('teams.add')} close={close}>
      <Loaded query={users}>
        {(list) => (
          <form onSubmit={submit} noValidate>
            <Stack>
              <TextInput
                label={t('teams.name')}
                value={name}
                onChange={(e) => setName(e.currentTarget.value)}
                disabled={!!team}
                maxLength={64}
                required
                data-autofocus={team ? undefined : true}
                error={tried && name.trim() === '' && t('field.required')}
              />
              <MultiSelect
                label={t('teams.members')}
                data={list.map((u) => ({ value: u.id, label: `${safe(u.name)} (${u.login})` }))}
                value={members}
                onChange={setMembers}
                searchable
                required
                error={tried && members.length === 0 && t('teams.needMember')}
              />
              {save.isError && <Failure error={save.error} />}
              <Group justify="flex-end">
                <Button variant="default" onClick={close}>
                  {t('app.cancel')}
                </Button>
                <Button type="submit" loading={save.isPending}>
                  {t('app.save')}
                </Button>
              </Group>
            </Stack>
          </form>
        )}
      </Loaded>
    </Dialog>
  )
}
