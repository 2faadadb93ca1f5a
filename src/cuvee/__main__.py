"""`python -m cuvee`: the command line."""

from cuvee.cli.main import run

if __name__ == "__main__":
    run()
