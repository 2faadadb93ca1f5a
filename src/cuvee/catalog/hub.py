"""config.json of a model on the Hugging Face hub, with the optional package huggingface_hub."""

from pathlib import Path

from cuvee.errors import InputError, MissingExtraError
from cuvee.files import read_text

FILES = ("config.json", "hf_quant_config.json")


def fetch_config(hub_id: str) -> dict[str, str]:
    """Texts of the configuration files of `hub_id`, by file name; only config.json is always there.

    Raises      MissingExtraError: huggingface_hub is not installed; InputError: no such model, no access,
                no network.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    except ImportError:
        raise MissingExtraError(f"reading {hub_id!r} from the Hugging Face hub", "hub") from None
    texts: dict[str, str] = {}
    for file_name in FILES:
        try:
            texts[file_name] = read_text(Path(hf_hub_download(hub_id, file_name)))
        except EntryNotFoundError as error:
            if file_name == FILES[0]:
                raise _unreachable(hub_id, error) from None
        except InputError:
            raise
        except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
            # httpx errors that the hub client lets through are RuntimeError or OSError at their root.
            raise _unreachable(hub_id, error) from None
    return texts


def _unreachable(hub_id: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(
        f"model {hub_id!r} on the Hugging Face hub: {reason}",
        expected="a public model, or one that HF_TOKEN may read, with a config.json",
        remedy="check the name and the network, or download config.json and give its path",
    )
