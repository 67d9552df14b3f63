import { makeStyles, tokens } from "@fluentui/react-components";
import { lazy, Suspense, useEffect, useRef } from "react";
import { parseRoute, useAddress, type Route } from "./routes.ts";
import { ServiceListPage } from "./services/service-list-page.tsx";
import { ErrorBoundary } from "./shell/error-boundary.tsx";
import { Loading } from "./shell/states.tsx";
import { texts } from "./texts.ts";

// The screens beyond the first one are fetched when they are gone to.
const ServicePage = lazy(async () => ({ default: (await import("./services/service-page.tsx")).ServicePage }));
const WizardPage = lazy(async () => ({ default: (await import("./wizard/wizard-page.tsx")).WizardPage }));
const MigrationPage = lazy(async () => ({ default: (await import("./migration/migration-page.tsx")).MigrationPage }));
const ReportPage = lazy(async () => ({ default: (await import("./cutover/report-page.tsx")).ReportPage }));

const useStyles = makeStyles({
  main: {
    flexGrow: 1,
    width: "100%",
    maxWidth: "1680px",
    boxSizing: "border-box",
    margin: "0 auto",
    padding: `${tokens.spacingVerticalL} ${tokens.spacingHorizontalXXL} ${tokens.spacingVerticalXXXL}`,
    outline: "none",
    "@media (max-width: 640px)": { padding: `${tokens.spacingVerticalM} ${tokens.spacingHorizontalM} ${tokens.spacingVerticalXXL}` },
    "@media print": { padding: 0 },
  },
});

/** The screen that the address names. */
export function Pages() {
  const styles = useStyles();
  const address = useAddress();
  const route = parseRoute(address);
  const main = useRef<HTMLElement>(null);
  const screen = screenOf(route);
  const shown = useRef(screen);
  useEffect(() => {
    document.title = titleOf(route);
    // Someone who cannot see the screen change has to be taken to it; the first screen is where one is anyway.
    if (shown.current !== screen) main.current?.focus();
    shown.current = screen;
  });
  return (
    <main ref={main} id="content" className={styles.main} tabIndex={-1}>
      <ErrorBoundary key={address}>
        <Suspense fallback={<Loading />}>
          <Screen route={route} />
        </Suspense>
      </ErrorBoundary>
    </main>
  );
}

function Screen({ route }: { readonly route: Route }) {
  switch (route.page) {
    case "services":
      return <ServiceListPage />;
    case "service":
      return <ServicePage {...route} />;
    case "newMigration":
      return <WizardPage {...route} />;
    case "migration":
      return route.view === "report" ? <ReportPage {...route} /> : <MigrationPage {...route} />;
  }
}

/** Choosing another database of a migration is not another screen. */
const screenOf = (route: Route): string =>
  route.page === "migration" ? `${route.page} ${route.task} ${route.view ?? ""}` : JSON.stringify(route);

function titleOf(route: Route): string {
  switch (route.page) {
    case "services":
      return `${texts.service.listTitle} - ${texts.product}`;
    case "service":
      return `${route.service} - ${texts.product}`;
    case "newMigration":
      return `${texts.wizard.title} - ${texts.product}`;
    case "migration":
      return `${route.task} - ${texts.product}`;
  }
}
