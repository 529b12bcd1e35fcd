/** The pages, in the order of the menu. One that shows what an API does not have yet is not there yet. */
import type { ComponentType } from "preact";
import { AlertsPage } from "./pages/alerts.tsx";
import { AuditPage } from "./pages/audit.tsx";
import { ErrorPage, ErrorsPage } from "./pages/errors.tsx";
import { ExecutionPage } from "./pages/execution.tsx";
import { FleetPage } from "./pages/fleet.tsx";
import { OverlaysPage } from "./pages/overlays.tsx";
import { PlanPage } from "./pages/plan.tsx";
import { PlansPage } from "./pages/plans.tsx";
import { RevisionsPage } from "./pages/revisions.tsx";
import { RolloutPage, RolloutsPage } from "./pages/rollouts.tsx";
import { RoutePage } from "./pages/route.tsx";
import { RoutesPage } from "./pages/routes.tsx";
import { UnitPage } from "./pages/unit.tsx";
import type { Text } from "./text/en.ts";

export interface Page {
  /** First part of its address, and its name in the dictionaries. */
  readonly id: keyof Text["page"];
  /** In the menu; of the others, the page under which they are. */
  readonly under?: keyof Text["page"];
  /** Path of the API without which there is nothing to show. */
  readonly needs: string;
  readonly view: ComponentType;
  /** Of one thing, named by the next part of the address. */
  readonly one?: ComponentType<{ readonly name: string }>;
}

export const PAGES: readonly Page[] = [
  { id: "fleet", needs: "/v1/fleet/watch", view: FleetPage },
  { id: "units", under: "fleet", needs: "/v1/fleet/watch", view: FleetPage, one: UnitPage },
  { id: "plans", needs: "/v1/plans", view: PlansPage, one: PlanPage },
  { id: "executions", under: "plans", needs: "/v1/plans", view: PlansPage, one: ExecutionPage },
  { id: "rollouts", needs: "/v1/rollouts", view: RolloutsPage, one: RolloutPage },
  { id: "alerts", needs: "/v1/alerts", view: AlertsPage },
  { id: "errors", needs: "/v1/errors", view: ErrorsPage, one: ErrorPage },
  { id: "overlays", needs: "/v1/overlays", view: OverlaysPage },
  { id: "revisions", needs: "/v1/revisions", view: RevisionsPage },
  { id: "routes", needs: "/v1/fleet", view: RoutesPage, one: RoutePage },
  { id: "audit", needs: "/v1/audit", view: AuditPage },
];
