"""Adds up what tests/run left in its results folder and prints the closing line.

    summary.py RESULTS

RESULTS/steps has a line "name TAB passed|failed" for each build; RESULTS/*.xml are ctest's JUnit files. Prints why
tests were skipped and, for each failure, the end of its output. Exit code 1 if anything failed or nothing passed.
"""
import pathlib
import sys
import xml.etree.ElementTree

OUTPUT_LINES = 60  # of each failure


def steps(folder):
    path = folder / "steps"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, status = line.split("\t")
        log = folder / f"{name}.log"
        yield name, status, log.read_text(errors="replace") if log.exists() else ""


def tests(folder):
    for path in sorted(folder.glob("*.xml")):
        try:
            suite = xml.etree.ElementTree.parse(path).getroot()
        except xml.etree.ElementTree.ParseError as error:
            yield path.name, "failed", f"ctest left a file that is no XML: {error}"
            continue
        for case in suite.iter("testcase"):
            name = f"{path.stem}: {case.get('name')}"
            output = case.findtext("system-out") or ""
            if case.find("failure") is not None or case.get("status") == "fail":
                yield name, "failed", output
            elif case.get("status") == "run":
                yield name, "passed", output
            else:
                # Only a test that chose to skip counts as skipped; one whose program is missing has failed.
                mark = case.find("skipped")
                reason = mark.get("message", "") if mark is not None else ""
                chosen = reason.startswith("SKIP_") or case.get("status") == "disabled"
                yield name, "skipped" if chosen else "failed", output or reason


def main():
    folder = pathlib.Path(sys.argv[1])
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failed = []
    for name, status, output in [*steps(folder), *tests(folder)]:
        counts[status] += 1
        if status == "failed":
            failed.append(name)
            print(f"\n-- failed: {name}")
            print("\n".join(output.splitlines()[-OUTPUT_LINES:]))
        elif status == "skipped":
            lines = [line for line in output.splitlines() if line.strip()]
            print(f"-- skipped: {name}: {lines[-1].strip() if lines else 'no reason given'}")
    for name in failed:
        print(f"failed: {name}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 0 if counts["passed"] > 0 and counts["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
