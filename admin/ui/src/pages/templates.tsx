import { Badge, Button, Card, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import IconArrowLeft from '@tabler/icons-react/dist/esm/icons/IconArrowLeft.mjs'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { deleteTemplate, templates as fetchTemplates, type Template } from '../api/desk'
import { isProblem } from '../api/problem'
import { covers, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { useLineName } from '../kit/linename'
import { LinkButton } from '../kit/links'
import { Page } from '../kit/page'
import { templateKey } from '../kit/sending'
import { Empty, Loaded } from '../kit/states'
import { safe } from '../lib/safe'
import { TemplateForm } from './templateform'

/** The message templates of a line's account, with Meta's word about each. */
export function TemplatesPage() {
  const { t } = useText()
  const { id } = useParams({ from: '/panel/lines/$id/templates' })
  const name = useLineName()
  const { user } = useMe()
  const queries = useQueryClient()
  const list = useQuery({ queryKey: ['templates', id], queryFn: () => fetchTemplates(id), staleTime: 30_000 })
  const [creating, setCreating] = useState(false)
  const [deleting, setDeleting] = useState<Template>()
  const refresh = () => void queries.invalidateQueries({ queryKey: ['templates', id] })
  const admin = covers(user.role, 'admin')
  const add = admin && <Button onClick={() => setCreating(true)}>{t('templates.add')}</Button>
  const back = (
    <LinkButton to="/lines" variant="default" leftSection={<IconArrowLeft size={16} aria-hidden />}>
      {t('lines.title')}
    </LinkButton>
  )
  if (isProblem(list.error, 'not_found')) {
    return (
      <Page title={t('templates.title')} actions={back}>
        <Empty title={t('templates.noLine')} />
      </Page>
    )
  }
  return (
    <Page
      title={t('templates.of', { line: name(id) })}
      text={t('templates.text')}
      actions={
        <>
          {back}
          {add}
        </>
      }
    >
      <Loaded query={list}>
        {(all) =>
          all.length === 0 ? (
            <Empty title={t('templates.empty')} text={t('templates.emptyText')} />
          ) : (
            <SimpleGrid component="ul" className="cards" cols={{ base: 1, md: 2, xl: 3 }}>
              {all.map((x) => (
                <One key={templateKey(x)} template={x} remove={admin ? () => setDeleting(x) : undefined} />
              ))}
            </SimpleGrid>
          )
        }
      </Loaded>
      {creating && <TemplateForm line={id} done={refresh} close={() => setCreating(false)} />}
      {deleting && (
        <Confirm
          title={t('templates.deleteTitle', { name: safe(deleting.name) })}
          text={t('templates.deleteText')}
          action={t('users.delete')}
          run={() => deleteTemplate(id, deleting.name)}
          done={refresh}
          close={() => setDeleting(undefined)}
        />
      )}
    </Page>
  )
}

const colors: Record<string, string> = { APPROVED: 'leaf', PENDING: 'blue', REJECTED: 'red', PAUSED: 'orange' }

function One({ template: x, remove }: { template: Template; remove?: () => void }) {
  const { t, coded } = useText()
  return (
    <Card component="li" withBorder>
      <Stack gap="xs" h="100%">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <div>
            <Text fw={600} className="name">
              {safe(x.name)}
            </Text>
            <Text size="xs" c="dimmed">
              {[coded('templateKind', x.kind), coded('category', x.category), safe(x.language)]
                .filter(Boolean)
                .join(' · ')}
            </Text>
          </div>
          <Badge color={colors[x.status] ?? 'gray'} variant="light" tt="none" autoContrast style={{ flex: 'none' }}>
            {coded('templateStatus', x.status)}
          </Badge>
        </Group>
        {x.rejected && x.rejected !== 'NONE' && (
          <Text size="sm" role="note">
            {t('templates.rejected', { why: coded('rejected', x.rejected) })}
          </Text>
        )}
        <div className="bubble">
          {x.header && <Text fw={600}>{safe(x.header)}</Text>}
          {x.body ?? ''}
          {x.footer && (
            <Text size="xs" c="dimmed">
              {safe(x.footer)}
            </Text>
          )}
          {x.button && (
            <Text size="sm" fw={600} ta="center">
              {safe(x.button)}
            </Text>
          )}
        </div>
        {remove && (
          <Group justify="flex-end" mt="auto">
            <Button
              size="xs"
              variant="light"
              color="red"
              onClick={remove}
              aria-label={t('templates.delete', { name: safe(x.name) })}
            >
              {t('users.delete')}
            </Button>
          </Group>
        )}
      </Stack>
    </Card>
  )
}
